"""Each way in which an engine cannot be connected to has a sentence of its own, which says what to do."""

from __future__ import annotations

import html
import os
import re
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from healing.admin import connection
from healing.core.ports import EngineConfig
from healing.models import Host
from tests.contract.engines.peers import forwarding, http, peer, saying, saying_once, silent
from tests.testbed.certificates import Certificates, make_pair
from tests.testbed.paths import new_folder

pytestmark = pytest.mark.django_db

VERSION = http("200 OK", b'{"ApiVersion": "1.41", "Version": "20.10"}')
NOBODY = 65534


def tried(client: Client, address: str, **fields: str) -> str:
    """What the button *Test the connection* answers to these fields, as text."""
    data = {"engine_kind": "docker", "address": address, "tls_verify": "on", **fields}
    response = client.post(reverse("admin:healing_host_test"), data)
    assert response.status_code == 200
    return html.unescape(re.sub("<[^>]*>", " ", response.content.decode())).strip()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "TIMEOUT", 3.0)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates.made_in(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may enter."""
    folder = new_folder("connection")
    yield folder
    shutil.rmtree(folder)


def tls(certificates: Certificates, **changes: str) -> dict[str, str]:
    ours = certificates.client
    files = {
        "tls_ca": certificates.authority.cert_file,
        "tls_cert": ours.cert_file,
        "tls_key": ours.key_file,
    }
    return {**files, **changes}


def test_what_is_typed_is_tested_and_not_saved(admin_client: Client, docker_host: str) -> None:
    """A real engine tells its version, containers and latency before there is a host."""
    answer = tried(admin_client, docker_host)
    assert re.fullmatch(r"docker \S+ \(API [\d.]+\) on \S+ answered in [\d.]+ m?s, \d+ containers?", answer)
    assert not Host.objects.exists()


def test_a_wrong_field_is_told_instead(admin_client: Client) -> None:
    """What could never be connected to is told with the field's name, escaped, and nothing is tried."""
    assert tried(admin_client, "tcp://engine").startswith("Address: ")
    response = admin_client.post(
        reverse("admin:healing_host_test"), {"engine_kind": "docker", "address": "<b>"}
    )
    assert b"<b>" not in response.content
    assert tried(admin_client, "") == "Address: This field is required."


def test_only_who_may_add_or_change_hosts_may_test() -> None:
    """A test reaches into the network, so looking at hosts is not enough for it."""
    user = User.objects.create_user("viewer", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_host"))
    client = Client()
    client.force_login(user)
    data = {"engine_kind": "docker", "address": "tcp://127.0.0.1:1"}
    assert client.post(reverse("admin:healing_host_test"), data).status_code == 403
    host = Host.objects.create(name="h", address="tcp://127.0.0.1:1")
    assert b"sh-connection" not in client.get(reverse("admin:healing_host_change", args=(host.pk,))).content
    user.user_permissions.add(Permission.objects.get(codename="change_host"))
    assert client.post(reverse("admin:healing_host_test"), data).status_code == 200
    assert client.get(reverse("admin:healing_host_test")).status_code == 405


def test_no_such_socket(admin_client: Client, tmp_path: Path) -> None:
    """The engine does not run, or the path is wrong."""
    answer = tried(admin_client, f"unix://{tmp_path}/none.sock")
    assert answer.startswith(f"there is no socket {tmp_path}/none.sock: start the engine, or correct")


def as_nobody(config: EngineConfig) -> str:
    """What a user without rights is told of this engine."""
    connection.ask(config)  # everything is imported while it can be
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setgid(NOBODY)
                os.setuid(NOBODY)
            os.write(writer, connection.ask(config).text.encode())
        finally:
            os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    with os.fdopen(reader) as said:
        return said.read()


def test_permission_denied_on_the_socket(open_folder: Path) -> None:
    """The user who runs Selfheal is not in the socket's group."""
    path = open_folder / "docker.sock"
    with socket.socket(socket.AF_UNIX) as engine:
        engine.bind(str(path))
        engine.listen()
        path.chmod(0o000)
        answer = as_nobody(EngineConfig("docker", f"unix://{path}", timeout=0.3))
    assert answer.startswith(f"this user may not use {path}: ")
    assert "group" in answer


def test_connection_refused(admin_client: Client) -> None:
    """Nothing listens at the port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    answer = tried(admin_client, f"tcp://127.0.0.1:{port}")
    assert answer.startswith(f"nothing listens at tcp://127.0.0.1:{port}: start the engine, or correct")


def test_a_name_that_does_not_resolve(admin_client: Client) -> None:
    """A typing error in a host name."""
    answer = tried(admin_client, "tcp://engine.invalid:2376")
    assert answer.startswith(
        "the name 'engine.invalid' in tcp://engine.invalid:2376 does not resolve: correct"
    )


def test_a_peer_that_never_answers(admin_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hung engine accepts, and says nothing."""
    monkeypatch.setattr(connection, "TIMEOUT", 0.3)
    with peer(silent) as address:
        assert tried(admin_client, address).startswith(f"no answer from the engine at {address} within 0.3 s")


@pytest.mark.parametrize(
    "answer",
    [
        http("404 Not Found", b"<html>nginx</html>", "text/html"),
        http("200 OK", b"<html>Welcome</html>", "text/html"),
        http("200 OK", b'{"hello": "world"}'),
        b"220 mail.example.com ESMTP\r\n",
    ],
    ids=["not found", "a page", "another API", "no HTTP"],
)
def test_not_an_engine(admin_client: Client, answer: bytes) -> None:
    """Something else listens at the address."""
    with peer(saying(answer)) as address:
        shown = tried(admin_client, address)
    assert shown.startswith(f"what answers at {address} is not a container engine (it said ")
    assert shown.endswith("correct the host's address")


def test_an_engine_that_is_too_old(admin_client: Client) -> None:
    """Said before it is saved, and not by the first restart that fails."""
    with peer(saying(http("200 OK", b'{"ApiVersion": "1.22", "Version": "1.10.3"}'))) as address:
        answer = tried(admin_client, address)
    assert answer.startswith(
        f"the engine at {address} is too old: it speaks version 1.22 of Docker's API, and 1.24"
    )


def test_tls_to_an_engine_without(admin_client: Client, certificates: Certificates) -> None:
    """TLS files are given, and the port is the plain one."""
    with peer(saying(VERSION)) as address:
        answer = tried(admin_client, address, **tls(certificates))
    assert answer.startswith(f"the engine at {address} does not speak TLS: correct the port")


@pytest.mark.parametrize("kind", ["docker's own words", "an alert"])
def test_no_tls_to_an_engine_with(admin_client: Client, kind: str) -> None:
    """TLS files are missing; Go's server says so in words, others with an alert."""
    words = b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n"
    said = words if kind == "docker's own words" else b"\x15\x03\x01\x00\x02\x02\x0a"
    with peer(saying_once(said)) as address:
        answer = tried(admin_client, address)
    assert answer.startswith(f"the engine at {address} wants TLS: set tls_ca, tls_cert and tls_key")


def test_everything_right_over_tls(
    admin_client: Client, certificates: Certificates, docker_host: str
) -> None:
    """The files of the pair and of the CA are taken as they are typed."""
    engine = forwarding(docker_host.removeprefix("unix://"))
    with peer(engine, certificates.server_context()) as address:
        assert tried(admin_client, address, **tls(certificates)).startswith("docker ")


def test_the_wrong_ca(admin_client: Client, certificates: Certificates) -> None:
    """The engine's certificate is signed by somebody else."""
    with peer(silent, certificates.server_context()) as address:
        answer = tried(admin_client, address, **tls(certificates, tls_ca=certificates.stranger.cert_file))
    assert "its certificate is not signed by the CA in tls_ca" in answer
    assert answer.endswith("give the CA's file")


def test_the_engines_certificate_has_expired(
    admin_client: Client, certificates: Certificates, tmp_path: Path
) -> None:
    """It is the engine's to renew, and not ours."""
    old = make_pair(tmp_path, "old", certificates.authority, days=-1)
    with peer(silent, certificates.server_context(old)) as address:
        answer = tried(admin_client, address, **tls(certificates))
    assert f"TLS with {address} refused: its certificate is not valid now" in answer
    assert answer.endswith("renew it, and check both clocks")


def test_the_engines_certificate_is_for_another_name(
    admin_client: Client, certificates: Certificates, tmp_path: Path
) -> None:
    """Reached by an address that is not in it."""
    other = make_pair(tmp_path, "other", certificates.authority, "127.0.0.9")
    with peer(silent, certificates.server_context(other)) as address:
        answer = tried(admin_client, address, **tls(certificates))
    assert "its certificate is not for '127.0.0.1'; use the name in the certificate" in answer


@pytest.mark.parametrize("kind", ["expired", "of a stranger", "missing"])
def test_our_certificate_is_not_accepted(
    admin_client: Client, certificates: Certificates, tmp_path: Path, kind: str
) -> None:
    """Why the engine turns us away, and which file to change."""
    signer = certificates.stranger if kind == "of a stranger" else certificates.authority
    ours = make_pair(tmp_path, "ours", signer, days=-1 if kind == "expired" else 1)
    files = {"tls_cert": ours.cert_file, "tls_key": ours.key_file} if kind != "missing" else {}
    files.setdefault("tls_cert", "")
    files.setdefault("tls_key", "")
    with peer(saying(VERSION), certificates.server_context()) as address:
        answer = tried(admin_client, address, **tls(certificates, **files))
    assert answer.startswith(f"the engine at {address} does not accept our TLS certificate")
    wanted = {
        "expired": "it has expired, or is not valid yet; renew tls_cert, and check both clocks",
        "of a stranger": "its CA has not signed it; give a tls_cert and tls_key that its CA has signed",
        "missing": "it wants one; give the files tls_cert and tls_key that its CA has signed",
    }
    assert answer.endswith(wanted[kind])


@pytest.mark.parametrize("field", ["tls_ca", "tls_cert", "tls_key"])
def test_a_missing_file(admin_client: Client, certificates: Certificates, field: str) -> None:
    """The one that is missing is named, also where OpenSSL does not say which."""
    with peer(silent) as address:
        answer = tried(admin_client, address, **tls(certificates, **{field: "/nonexistent/file.pem"}))
    assert answer.startswith(f"{field}: cannot read /nonexistent/file.pem: there is no such file")


def test_an_unreadable_key(certificates: Certificates, open_folder: Path) -> None:
    """The key belongs to root, and Selfheal runs as somebody else."""
    for file in (
        certificates.authority.cert_file,
        certificates.client.cert_file,
        certificates.client.key_file,
    ):
        shutil.copy(file, open_folder)
    key = open_folder / Path(certificates.client.key_file).name
    key.chmod(0o000)
    ca, certificate = (
        str(open_folder / Path(file).name)
        for file in (certificates.authority.cert_file, certificates.client.cert_file)
    )
    with peer(silent) as address:
        config = EngineConfig("docker", address, ca, certificate, str(key), timeout=0.3)
        answer = as_nobody(config)
    assert answer.startswith(f"tls_key: cannot read {key}: permission denied; let the user who runs Selfheal")


def test_files_that_do_not_fit(admin_client: Client, certificates: Certificates, tmp_path: Path) -> None:
    """Another certificate's key, a key behind a passphrase, and a file that is none at all."""
    locked, broken = tmp_path / "locked.pem", tmp_path / "broken.pem"
    locked.write_bytes(
        certificates.client.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    broken.write_text("no certificate")
    with peer(silent) as address:
        other = tried(admin_client, address, **tls(certificates, tls_key=certificates.server.key_file))
        behind = tried(admin_client, address, **tls(certificates, tls_key=str(locked)))
        none = tried(admin_client, address, **tls(certificates, tls_ca=str(broken)))
        half = tried(admin_client, address, **tls(certificates, tls_key=""))
    assert "the key is not that of the certificate" in other
    assert behind.startswith(f"tls_key: {locked} is locked with a passphrase")
    assert none.startswith(f"tls_ca: {broken} is no usable PEM file")
    assert half.startswith("tls_cert and tls_key belong together")


def test_two_hosts_on_one_engine_are_refused(admin_client: Client) -> None:
    """Each of the two would heal the other's containers; a host itself can be saved again."""
    first = Host.objects.create(name="first", address="tcp://127.0.0.1:1")
    data = {
        "name": "second",
        "engine_kind": "docker",
        "address": first.address,
        "auto_register": "all",
        "start_grace": "1",
        "breaker_mode": "slow_start",
        "breaker_share": "0.4",
    }
    response = admin_client.post(reverse("admin:healing_host_add"), data)
    (message,) = response.context["adminform"].form.errors["address"]
    assert message == "Host first has this address already: its containers would be healed twice."
    url = reverse("admin:healing_host_change", args=(first.pk,))
    assert admin_client.post(url, {**data, "name": "renamed"}).status_code == 302
