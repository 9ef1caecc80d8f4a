"""Where channels may connect to, tried with real sockets: nothing refused is ever reached."""

from __future__ import annotations

import asyncio
import contextvars
import smtplib
import socket
import threading
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from notifications.channels import build, http
from notifications.channels.guard import Policy, RefusedAddress, current, guarded
from notifications.core.errors import PermanentError, TemporaryError
from tests.contract.channels.receiver import Receiver, receiving
from tests.contract.channels.samples import MESSAGE, NETWORK_KINDS, config_of

PUBLIC_ONLY = Policy(allow_private=False)
ANYWHERE = Policy(allow_private=True)
Resolver = Callable[[dict[str, list[list[str]]]], None]


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """Listens on loopback and is asked afterwards whether anybody came."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server


@pytest.fixture
def resolve(monkeypatch: pytest.MonkeyPatch) -> Resolver:
    """Has names resolved as told: to one list of addresses after the other, the last one for good."""
    original = socket.getaddrinfo

    def install(names: dict[str, list[list[str]]]) -> None:
        def getaddrinfo(host: Any, *args: Any, **named: Any) -> Any:
            answers = names.get(host)
            if not answers:
                return original(host, *args, **named)
            found = answers.pop(0) if len(answers) > 1 else answers[0]
            return [info for address in found for info in original(address, *args, **named)]

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)

    return install


def was_called(listener: socket.socket) -> bool:
    try:
        listener.accept()[0].close()
    except BlockingIOError:
        return False
    return True


def port_of(listener: socket.socket) -> int:
    return int(listener.getsockname()[1])


@pytest.mark.parametrize("kind", NETWORK_KINDS)
@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0x7f.0.0.1", "2130706433", "0177.1"]
)
def test_loopback_in_every_spelling_is_refused(kind: str, host: str, receiver: Receiver) -> None:
    """Protects this machine's own services from channels that may not call private addresses."""
    channel = build(kind, config_of(kind, receiver, host), policy=PUBLIC_ONLY)
    with pytest.raises(RefusedAddress, match="loopback, and this channel may not call private addresses"):
        channel.send(MESSAGE)
    assert receiver.received == []


@pytest.mark.parametrize("kind", NETWORK_KINDS)
@pytest.mark.parametrize(
    ("host", "why"),
    [
        ("169.254.169.254", "metadata"),
        ("[::ffff:a9fe:a9fe]", "metadata"),
        ("0xa9fea9fe", "metadata"),
        ("169.254.1.1", "link-local"),
        ("0.0.0.0", "unspecified"),
        ("224.0.0.1", "multicast"),
    ],
)
def test_addresses_never_called_are_refused(kind: str, host: str, why: str, receiver: Receiver) -> None:
    """Protects the cloud's credentials, whatever the channel is allowed."""
    with pytest.raises(PermanentError, match=why):
        build(kind, config_of(kind, receiver, host), policy=ANYWHERE).send(MESSAGE)


@pytest.mark.parametrize("kind", NETWORK_KINDS)
def test_allowed_channel_calls_private_addresses(kind: str, receiver: Receiver) -> None:
    """Protects installations whose receivers are in their own network; the name is spoken on."""
    assert build(kind, config_of(kind, receiver, "localhost"), policy=ANYWHERE).send(MESSAGE)
    if kind != "syslog":
        assert receiver.received[0].headers.get("Host", receiver.received[0].headers.get("host")) == (
            f"localhost:{receiver.port}"
        )


@pytest.mark.parametrize("kind", NETWORK_KINDS)
def test_own_stores_are_refused(kind: str, receiver: Receiver) -> None:
    """Protects Redis from a webhook that is written as its commands."""
    ports = (receiver.port, receiver.datagrams.getsockname()[1])
    policy = Policy(allow_private=True, refused=tuple(("127.0.0.1", port) for port in ports))
    with pytest.raises(RefusedAddress, match="own stores"):
        build(kind, config_of(kind, receiver, "127.0.0.2"), policy=policy).send(MESSAGE)
    assert receiver.received == []


def test_own_store_is_refused_by_its_name(resolve: Resolver, receiver: Receiver) -> None:
    """Protects a store whose name leads elsewhere by now than when it was resolved."""
    resolve({"redis": [["127.0.0.1"]]})
    policy = Policy(allow_private=True, refused=(("redis", receiver.port),))
    with pytest.raises(RefusedAddress, match="redis must not be called"):
        build("webhook", config_of("webhook", receiver, "redis"), policy=policy).send(MESSAGE)


@pytest.mark.parametrize("kind", NETWORK_KINDS)
def test_name_that_leads_to_a_private_address_is_refused(
    kind: str, resolve: Resolver, receiver: Receiver
) -> None:
    """Protects from names that anybody can point into our network."""
    resolve({"hooks.example": [["127.0.0.1"]]})
    with pytest.raises(RefusedAddress, match=r"127\.0\.0\.1.*loopback"):
        build(kind, config_of(kind, receiver, "hooks.example"), policy=PUBLIC_ONLY).send(MESSAGE)
    assert receiver.received == []


def test_refusal_names_the_host_and_not_the_secret(resolve: Resolver, receiver: Receiver) -> None:
    """Protects the token in the address, which the reason is shown without."""
    resolve({"hooks.example": [["10.1.2.3"]]})
    with pytest.raises(RefusedAddress) as refusal:
        build("webhook", {"url": "http://hooks.example/T0KEN"}, policy=PUBLIC_ONLY).send(MESSAGE)
    assert str(refusal.value) == (
        "hooks.example must not be called: it leads to 10.1.2.3, which is private, "
        "and this channel may not call private addresses"
    )


@pytest.mark.parametrize("answers", [[["8.8.8.8", "127.0.0.1"]], [["127.0.0.1", "8.8.8.8"]]])
def test_one_private_address_of_many_is_enough(
    answers: list[list[str]], resolve: Resolver, receiver: Receiver
) -> None:
    """Protects from a name that hides a private address behind a public one."""
    resolve({"hooks.example": answers})
    with pytest.raises(RefusedAddress, match="loopback"):
        build("webhook", config_of("webhook", receiver, "hooks.example"), policy=PUBLIC_ONLY).send(MESSAGE)


def test_name_that_changes_after_the_check_is_still_refused(
    resolve: Resolver, listener: socket.socket
) -> None:
    """Protects from DNS rebinding: what is judged is what is connected to, not what the name led to before."""
    resolve({"hooks.example": [["8.8.8.8"], ["127.0.0.1"]]})
    assert socket.getaddrinfo("hooks.example", 80)[0][4][0] == "8.8.8.8"
    with pytest.raises(RefusedAddress, match="loopback"), guarded(PUBLIC_ONLY):
        socket.create_connection(("hooks.example", port_of(listener)), timeout=5)
    assert not was_called(listener)


def test_socket_connects_to_what_was_judged(resolve: Resolver) -> None:
    """Protects from the system resolving a name once more, which may lead elsewhere by then."""
    resolve({"localhost": [["127.0.0.2"], ["127.0.0.3"]]})
    with socket.create_server(("127.0.0.2", 0)) as server, socket.socket() as plain, guarded(ANYWHERE):
        plain.settimeout(5)
        plain.connect(("localhost", port_of(server)))
        assert plain.getpeername() == server.getsockname()


def test_next_address_is_tried(resolve: Resolver, receiver: Receiver) -> None:
    """Protects receivers with several addresses of which one is down."""
    resolve({"hooks.example": [["127.0.0.9", "127.0.0.1"]]})
    assert build("webhook", config_of("webhook", receiver, "hooks.example"), policy=ANYWHERE).send(MESSAGE)
    assert receiver.received[0].headers["Host"] == f"hooks.example:{receiver.port}"


@pytest.mark.parametrize(("name", "is_theirs"), [("hooks.example", True), ("other.example", False)])
def test_certificate_is_held_to_the_name(
    name: str, is_theirs: bool, resolve: Resolver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Protects TLS: the address is connected to, but the certificate has to be that of the name."""
    resolve({"hooks.example": [["127.0.0.1"]]})
    cert_file, key_file = certificate_for(name, tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", cert_file)
    http._tls.cache_clear()
    try:
        with receiving(tls=(cert_file, key_file)) as safe:
            channel = build("webhook", {"url": f"https://hooks.example:{safe.port}/"}, policy=ANYWHERE)
            if is_theirs:
                assert channel.send(MESSAGE) == "200 thanks"
            else:
                with pytest.raises(TemporaryError, match="certificate"):
                    channel.send(MESSAGE)
                assert safe.received == []
    finally:
        http._tls.cache_clear()


def certificate_for(name: str, folder: Path) -> tuple[str, str]:
    """A certificate and its key, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "cert").write_bytes(certificate.public_bytes(pem))
    (folder / "key").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return str(folder / "cert"), str(folder / "key")


def test_redirect_is_not_followed(receiver: Receiver) -> None:
    """Protects from a receiver that sends us on to where we may not go."""
    receiver.status, receiver.headers = 302, {"Location": "http://169.254.169.254/latest/meta-data/"}
    with pytest.raises(PermanentError, match="redirects are not followed"):
        build("webhook", {"url": receiver.url}, policy=ANYWHERE).send(MESSAGE)


def test_redirect_that_a_library_follows_is_refused(receiver: Receiver) -> None:
    """Protects the channels of libraries that follow redirects: each connection is judged."""
    receiver.status, receiver.headers = 307, {"Location": "http://169.254.169.254/latest/meta-data/"}
    with pytest.raises(RefusedAddress, match="metadata"), guarded(ANYWHERE):
        requests.post(receiver.url, data=b"{}", timeout=5)


def by_connection(port: int) -> None:
    socket.create_connection(("localhost", port), timeout=5)


def by_name(port: int) -> None:
    with socket.socket() as plain:
        plain.connect(("localhost", port))


def by_connect_ex(port: int) -> None:
    with socket.socket() as plain:
        plain.connect_ex((b"127.0.0.1", port))


def by_requests(port: int) -> None:
    requests.post(f"http://127.0.0.1:{port}/", data=b"{}", timeout=5)


def by_urllib(port: int) -> None:
    urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5)


def by_smtplib(port: int) -> None:
    smtplib.SMTP("127.0.0.1", port, timeout=5)


def by_httpx(port: int) -> None:
    httpx.post(f"http://127.0.0.1:{port}/", timeout=5)


def by_asyncio(port: int) -> None:
    async def connect() -> None:
        await asyncio.open_connection("localhost", port)

    asyncio.run(connect())


def by_thread(port: int) -> None:
    thread = threading.Thread(target=quietly, args=(by_connection, port))
    thread.start()
    thread.join(10)


def by_pool(port: int) -> None:
    with ThreadPoolExecutor(1) as executor:
        executor.submit(quietly, by_connection, port).result(10)


def by_context(port: int) -> None:
    context = contextvars.copy_context()
    thread = threading.Thread(target=context.run, args=(quietly, by_connection, port))
    thread.start()
    thread.join(10)


def quietly(work: Callable[[int], None], port: int) -> None:
    """As libraries do that make a log record of every error."""
    try:
        work(port)
    except Exception:
        return


def give_up_after(work: Callable[[int], None], port: int) -> None:
    """As libraries do that have one error for everything."""
    quietly(work, port)
    raise ValueError("not sent")


WAYS = (
    by_connection, by_name, by_connect_ex, by_requests, by_urllib, by_smtplib, by_httpx, by_asyncio, by_thread,
    by_pool, by_context,
)  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_no_library_gets_around_it(way: Callable[[int], None], listener: socket.socket) -> None:
    """Protects from libraries that open their own sockets, in threads of their own, and that swallow errors."""
    with pytest.raises(RefusedAddress, match="loopback"), guarded(PUBLIC_ONLY):
        way(port_of(listener))
    assert not was_called(listener)


def test_error_that_a_library_swallows_is_raised_at_the_end(listener: socket.socket) -> None:
    """Protects people from "sent", and from errors of a library that do not say why."""
    with pytest.raises(RefusedAddress, match="loopback"), guarded(PUBLIC_ONLY):
        quietly(by_requests, port_of(listener))
    with pytest.raises(RefusedAddress, match="loopback"), guarded(PUBLIC_ONLY):
        give_up_after(by_requests, port_of(listener))


def test_datagrams_are_judged() -> None:
    """Protects services that speak over UDP."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taker,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
    ):
        taker.bind(("127.0.0.1", 0))
        taker.setblocking(False)
        for send in (
            lambda: sender.sendto(b"x", taker.getsockname()),
            lambda: sender.sendto(b"x", 0, taker.getsockname()),
            lambda: sender.sendmsg([b"x"], [], 0, taker.getsockname()),
        ):
            with pytest.raises(RefusedAddress), guarded(PUBLIC_ONLY):
                send()
        with pytest.raises(BlockingIOError):
            taker.recv(1)
        with guarded(ANYWHERE):
            assert sender.sendto(b"x", ("localhost", taker.getsockname()[1])) == 1


def test_unix_sockets_are_of_this_machine(tmp_path: Path) -> None:
    """Protects an engine's socket, which commands everything, and our database's."""
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen()
        for policy in (PUBLIC_ONLY, Policy(allow_private=True, refused=((path, 0),))):
            with socket.socket(socket.AF_UNIX) as client, pytest.raises(RefusedAddress), guarded(policy):
                client.connect(path)
        with socket.socket(socket.AF_UNIX) as client, guarded(ANYWHERE):
            client.connect(path)


@pytest.mark.parametrize("way", [by_requests, by_urllib, by_httpx])
def test_proxy_of_the_environment_is_no_way_around(
    way: Callable[[int], None], monkeypatch: pytest.MonkeyPatch, receiver: Receiver, listener: socket.socket
) -> None:
    """Protects from a proxy that would connect for us, to where we may not."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{port_of(listener)}")
    with guarded(ANYWHERE):
        quietly(way, receiver.port)
    assert not was_called(listener)
    assert build("webhook", {"url": receiver.url}, policy=ANYWHERE).send(MESSAGE)
    assert not was_called(listener)


def test_others_are_left_alone(listener: socket.socket) -> None:
    """Protects the rest of the process: only the block's own thread is watched, and only while it lasts."""
    inside, done = threading.Event(), threading.Event()
    calls: list[str] = []

    def send() -> None:
        with guarded(PUBLIC_ONLY):
            inside.set()
            done.wait(10)

    sender = threading.Thread(target=send)
    sender.start()
    assert inside.wait(10)
    for way in (by_connection, by_name):
        way(port_of(listener))
        calls.append(way.__name__)
    done.set()
    sender.join(10)
    by_connection(port_of(listener))
    assert was_called(listener)
    assert current() is None


def test_shared_pool_serves_both(listener: socket.socket) -> None:
    """Protects a pool that a library keeps: what is submitted outside of a policy is not held to one, and vice versa."""
    with ThreadPoolExecutor(1) as executor:
        with pytest.raises(RefusedAddress), guarded(PUBLIC_ONLY):
            executor.submit(quietly, by_connection, port_of(listener)).result(10)
        assert not was_called(listener)
        executor.submit(by_connection, port_of(listener)).result(10)
        assert was_called(listener)
        with pytest.raises(RefusedAddress), guarded(PUBLIC_ONLY):
            executor.submit(quietly, by_connection, port_of(listener)).result(10)


def test_policy_within_a_policy_cannot_allow_more(listener: socket.socket) -> None:
    """Protects the channel's policy from code within that sets its own."""
    with pytest.raises(RefusedAddress), guarded(PUBLIC_ONLY), guarded(ANYWHERE):
        by_connection(port_of(listener))


def test_name_that_cannot_be_resolved_is_temporary(
    monkeypatch: pytest.MonkeyPatch, receiver: Receiver
) -> None:
    """Protects alerts while the name service is away."""

    def fail(*args: Any, **named: Any) -> Any:
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(TemporaryError, match="name resolution"):
        build("webhook", config_of("webhook", receiver, "hooks.example"), policy=PUBLIC_ONLY).send(MESSAGE)
