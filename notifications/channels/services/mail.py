"""E-mail by SMTP. All messages about one alert refer to one message id, so that mail programs show them as a thread."""

from __future__ import annotations

import hashlib
import smtplib
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.errors import MessageError
from email.message import EmailMessage
from email.utils import formatdate, parseaddr
from functools import cache
from typing import Any, ClassVar, Self

from notifications.channels.services.reading import read_fields
from notifications.channels.services.words import body_and_links, cut, one_line, sayable, title_of
from notifications.core.alert import AlertLevel, Message
from notifications.core.errors import ChannelError, ConfigError, PermanentError, TemporaryError
from notifications.core.fields import Field, secret_names
from notifications.core.masking import mask

TIMEOUT = 10.0
WHOLE_TIMEOUT = 30.0
"""For the whole exchange: a server that says a byte now and then does not hold a worker longer."""
BODY_LIMIT = 100_000
_PORTS: Mapping[str, int] = {"starttls": 587, "tls": 465, "none": 25}


@dataclass(frozen=True, slots=True)
class EmailChannel:
    """`host`, `from_address`, `to`; optionally `port`, `mode`, `user`, `password`, `tls_verify`."""

    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("host", "SMTP server", "Such as smtp.example.org", required=True),
        Field("port", "Port", "Empty for 587 (STARTTLS), 465 (TLS) or 25 (none)", "integer"),
        Field(
            "mode",
            "Encryption",
            "Where STARTTLS is chosen and not offered, nothing is sent",
            "choice",
            choices=(("starttls", "STARTTLS"), ("tls", "TLS"), ("none", "none")),
        ),
        Field(
            "tls_verify",
            "Check the certificate",
            "Switch off for a server with a certificate of its own",
            "boolean",
        ),
        Field("user", "User", "Empty where the server asks for no login"),
        Field("password", "Password", "", "secret", secret=True),
        Field(
            "from_address", "From", "selfheal@example.org, or Selfheal <selfheal@example.org>", required=True
        ),
        Field("to", "To", "One address per line", "lines", required=True),
    )
    SECRET_FIELDS: ClassVar[frozenset[str]] = secret_names(FIELDS)

    host: str = ""
    port: int = 0
    mode: str = "starttls"
    tls_verify: bool = True
    user: str = ""
    password: str = field(default="", repr=False)
    from_address: str = ""
    to: tuple[str, ...] = ()

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        values = read_fields(config, cls.FIELDS)
        if values.get("port", 25) > 65535:
            raise ConfigError("port", "must be between 1 and 65535")
        if ("user" in values) != ("password" in values):
            raise ConfigError("password", "user and password belong together")
        for name in ("user", "password"):
            if not values.get(name, "").isascii():
                raise ConfigError(name, "must be ASCII: the way to say others is not agreed on for logins")
        _require_address("from_address", values["from_address"])
        for address in values["to"]:
            _require_address("to", address)
        return cls(**values)

    def send(self, message: Message) -> str:
        """Raise when any recipient was refused, saying who got it nevertheless."""
        try:
            with self._session() as session:
                refused = session.send_message(self._mail(message))
        except smtplib.SMTPRecipientsRefused as error:
            refused = error.recipients
        except (smtplib.SMTPException, OSError, ValueError, MessageError) as error:
            raise self._fault(error) from None
        if refused:
            raise self._refusal(refused)
        return f"taken for {', '.join(self.to)}"

    @contextmanager
    def _session(self) -> Iterator[smtplib.SMTP]:
        context = _tls_context(self.tls_verify)
        session = (
            smtplib.SMTP_SSL(timeout=TIMEOUT, context=context)
            if self.mode == "tls"
            else smtplib.SMTP(timeout=TIMEOUT)
        )
        late = threading.Event()
        clock = threading.Timer(WHOLE_TIMEOUT, _hang_up, [session, late])
        clock.daemon = True
        clock.start()
        try:
            # Checking the certificate needs the name, which smtplib takes from its constructor only.
            session._host = self.host  # type: ignore[attr-defined]
            code, said = session.connect(self.host, self.port or _PORTS[self.mode])
            if code != 220:
                raise smtplib.SMTPConnectError(code, said)
            if late.is_set():
                raise TimeoutError("it took too long to connect")
            if self.mode == "starttls":
                session.starttls(context=context)
            if self.user:
                session.login(self.user, self.password)
            yield session
        finally:
            clock.cancel()
            session.close()

    def _mail(self, message: Message) -> EmailMessage:
        mail = EmailMessage()
        domain = parseaddr(self.from_address)[1].rpartition("@")[2]
        mail["From"] = self.from_address
        mail["To"] = ", ".join(self.to)
        mail["Subject"] = cut(title_of(message), 250)
        mail["Date"] = formatdate()
        mail["Message-ID"] = f"<{message.id}@{domain}>"
        mail["References"] = f"<{hashlib.sha256(message.thread_key.encode()).hexdigest()[:32]}@{domain}>"
        mail["Auto-Submitted"] = "auto-generated"
        if message.alert.level is AlertLevel.CRITICAL and message.alert.is_firing:
            mail["X-Priority"] = "1"
        mail.set_content(body_and_links(message, BODY_LIMIT) or title_of(message))
        if message.text is not None and message.text.html:
            mail.add_alternative(sayable(message.text.html), subtype="html")
        return mail

    def _fault(self, error: Exception) -> ChannelError:
        """SMTP's own distinction: 4xx is for now, 5xx for good."""
        text = self._shown(error)
        if isinstance(error, smtplib.SMTPResponseException) and 500 <= error.smtp_code < 600:
            return PermanentError(f"{self.host} answered {text}")
        if isinstance(error, smtplib.SMTPNotSupportedError) or not isinstance(error, OSError):
            return PermanentError(f"cannot be sent as configured: {text}")
        return TemporaryError(f"{self.host} did not take the mail: {text}")

    def _refusal(self, refused: Mapping[str, tuple[int, bytes]]) -> ChannelError:
        told = "; ".join(f"{who}: {self._shown_answer(*answer)}" for who, answer in sorted(refused.items()))
        rest = len(self.to) - len(refused)
        text = f"refused for {told}" + (f"; {rest} others got it" if rest > 0 else "")
        if all(500 <= code < 600 for code, _ in refused.values()):
            return PermanentError(text)
        return TemporaryError(text)

    def _shown(self, error: Exception) -> str:
        if isinstance(error, smtplib.SMTPResponseException):
            return self._shown_answer(error.smtp_code, error.smtp_error)
        return mask(one_line(str(error) or type(error).__name__)[:300], [self.password])

    def _shown_answer(self, code: int, text: bytes | str) -> str:
        said = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
        return mask(f"{code} {one_line(said)[:300]}", [self.password])


def _require_address(name: str, text: str) -> None:
    address = parseaddr(text)[1]
    local, at, domain = address.rpartition("@")
    if not (local and at and domain) or " " in address or "," in text:
        raise ConfigError(name, f"{text!r} is no e-mail address; write somebody@example.org")


@cache
def _tls_context(verify: bool) -> ssl.SSLContext:
    """Made once, since it reads all authorities."""
    context = ssl.create_default_context()
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _hang_up(session: smtplib.SMTP, late: threading.Event) -> None:
    """Closing the connection ends the read that waits on it; `late` is for who has none yet."""
    late.set()
    sock = session.sock
    if sock is not None:
        try:
            sock.shutdown(2)
        except OSError:
            return
