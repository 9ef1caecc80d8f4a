"""A real SMTP server on loopback: plain, with STARTTLS or with TLS; it keeps the mail, and refuses what it is told to."""

from __future__ import annotations

import base64
import socket
import socketserver
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage


@dataclass
class Mailbox:
    """`answers` replaces what is answered to a verb, or to `RCPT <address>`; None means that nothing is ever answered."""

    port: int = 0
    tls: ssl.SSLContext | None = None
    implicit_tls: bool = False
    answers: dict[str, str | None] = field(default_factory=dict)
    mails: list[EmailMessage] = field(default_factory=list)
    recipients: list[list[str]] = field(default_factory=list)
    logins: list[tuple[str, str, bool]] = field(default_factory=list)
    closing: threading.Event = field(default_factory=threading.Event)


class _Conversation:
    """One connection, line by line."""

    def __init__(self, box: Mailbox, sock: socket.socket) -> None:
        self.box = box
        self.secure = box.implicit_tls
        self.recipients: list[str] = []
        self._use(sock)

    def _use(self, sock: socket.socket) -> None:
        self.sock = sock
        self.reader = sock.makefile("rb")

    def run(self) -> None:
        self.say(self.box.answers.get("CONNECT", "220 ready"))
        while line := self.reader.readline():
            verb, _, rest = line.decode("utf-8", "replace").strip().partition(" ")
            if not self.take(verb.upper(), rest):
                return

    def take(self, verb: str, rest: str) -> bool:
        known: Mapping[str, str] = {"MAIL": "250 ok", "RSET": "250 ok", "NOOP": "250 ok", "QUIT": "221 bye"}
        if verb in self.box.answers:
            self.say(self.box.answers[verb])
        elif verb == "EHLO":
            offered = ["AUTH PLAIN", "SMTPUTF8"]
            if self.box.tls is not None and not self.secure:
                offered.insert(0, "STARTTLS")
            self.say("250-hello\r\n" + "\r\n".join(f"250-{word}" for word in offered) + "\r\n250 8BITMIME")
        elif verb == "STARTTLS" and self.box.tls is not None:
            self.say("220 go ahead")
            self._use(self.box.tls.wrap_socket(self.sock, server_side=True))
            self.secure = True
        elif verb == "AUTH":
            _, user, password = base64.b64decode(rest.split()[-1]).decode().split("\0")
            self.box.logins.append((user, password, self.secure))
            self.say("235 welcome")
        elif verb == "RCPT":
            address = rest.partition("<")[2].partition(">")[0]
            answer = self.box.answers.get(f"RCPT {address}", "250 ok")
            if answer is not None and answer.startswith("250"):
                self.recipients.append(address)
            self.say(answer)
        elif verb == "DATA":
            self.say("354 go on")
            self._take_mail()
            self.say("250 kept")
        else:
            self.say(known.get(verb, "500 what?"))
        return verb != "QUIT"

    def _take_mail(self) -> None:
        lines: list[bytes] = []
        while (line := self.reader.readline()) not in (b".\r\n", b""):
            lines.append(line[1:] if line.startswith(b"..") else line)
        self.box.mails.append(message_from_bytes(b"".join(lines), policy=policy.default))
        self.box.recipients.append(self.recipients)
        self.recipients = []

    def say(self, text: str | None) -> None:
        if text is None:
            self.box.closing.wait(60)
        else:
            self.sock.sendall(text.encode() + b"\r\n")


@contextmanager
def mailing(tls: ssl.SSLContext | None = None, implicit_tls: bool = False) -> Iterator[Mailbox]:
    """Run a server on a free port; at the end it lets go of everybody who still waits."""
    box = Mailbox(tls=tls, implicit_tls=implicit_tls)

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with suppress(OSError):
                sock = self.request
                if implicit_tls and tls is not None:
                    sock = tls.wrap_socket(sock, server_side=True)
                _Conversation(box, sock).run()

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        allow_reuse_address = True

    with Server(("127.0.0.1", 0), Handler) as server:
        box.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield box
        finally:
            box.closing.set()
            server.shutdown()
            thread.join(10)
