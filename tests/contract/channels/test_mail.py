"""What the e-mail channel really sends, and what a mail server's answers mean, against a local server."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from notifications.channels.guard import Policy, RefusedAddress
from notifications.channels.registry import build
from notifications.channels.services import mail
from notifications.core.alert import Text
from notifications.core.errors import ConfigError, PermanentError, TemporaryError
from tests.contract.channels.service_samples import MESSAGE, RESOLVED
from tests.contract.channels.smtp import Mailbox, mailing

PASSWORD = "pass word-1234"


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    with mailing() as running:
        yield running


@pytest.fixture(scope="module")
def own_certificate(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    """For 127.0.0.1, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    names = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    certificate = builder.add_extension(names, critical=False).sign(key, hashes.SHA256())
    pem: Path = tmp_path_factory.mktemp("tls") / "server.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    pem.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    return context


def config_of(box: Mailbox, **more: Any) -> dict[str, Any]:
    addresses = {"from_address": "Selfheal <heal@example.org>", "to": ["a@example.org", "b@example.org"]}
    return {"host": "127.0.0.1", "port": box.port, "mode": "none", **addresses, **more}


def test_mail_has_both_parts_and_refers_to_its_thread(mailbox: Mailbox) -> None:
    """Protects reading: text with the links, HTML beside it; all mails about one alert refer to the same id."""
    html = "<p>web is <b>down</b></p>"
    message = replace(
        MESSAGE, text=Text("web is down\r\nBcc: evil@example.org", "exit code 137\n内存不足", html)
    )
    answer = build("email", config_of(mailbox)).send(message)
    assert answer == "taken for a@example.org, b@example.org"
    build("email", config_of(mailbox)).send(RESOLVED)
    first, second = mailbox.mails
    assert mailbox.recipients == [["a@example.org", "b@example.org"]] * 2
    assert first["Subject"] == "web is down Bcc: evil@example.org" and first["Bcc"] is None
    assert first["From"] == "Selfheal <heal@example.org>" and first["X-Priority"] == "1"
    assert first["Message-ID"] == f"<{MESSAGE.id}@example.org>" != second["Message-ID"]
    assert first["References"] == second["References"] and first["References"].endswith("@example.org>")
    assert first["Auto-Submitted"] == "auto-generated" and second["X-Priority"] is None
    plain, rich = first.get_body(("plain",)), first.get_body(("html",))
    assert plain is not None and rich is not None and first.get_content_type() == "multipart/alternative"
    assert plain.get_content().startswith("exit code 137\r\n内存不足\r\n\r\nOpen: https://selfheal.example/")
    assert rich.get_content().strip() == html
    assert second.get_content_type() == "text/plain"


def test_odd_text_is_sent(mailbox: Mailbox) -> None:
    """Protects alerts that quote what a container printed, and those without a word."""
    for text in (Text("\x1b[31m容器\ud800\0\r\nX: y", "a\r\n.\r\n\ud800b", "<p>\ud800</p>"), Text("", "")):
        build("email", config_of(mailbox)).send(replace(MESSAGE, text=text, links=()))
    body = mailbox.mails[0].get_body(("plain",))
    assert len(mailbox.mails) == 2 and mailbox.mails[0]["X"] is None
    assert body is not None and body.get_content() == "a\r\n.\r\n?b\r\n"


@pytest.mark.parametrize("mode", ["starttls", "tls"])
def test_login_is_encrypted_and_the_certificate_checked(mode: str, own_certificate: ssl.SSLContext) -> None:
    """Protects the password: it goes over TLS only, and to nobody whose certificate is not trusted."""
    with mailing(own_certificate, implicit_tls=mode == "tls") as box:
        config = config_of(box, mode=mode, user="me", password=PASSWORD)
        with pytest.raises(TemporaryError, match="certificate"):
            build("email", config).send(MESSAGE)
        assert box.logins == []
        build("email", {**config, "tls_verify": False}).send(MESSAGE)
        assert box.logins == [("me", PASSWORD, True)] and len(box.mails) == 1


def test_the_policy_of_addresses_holds(mailbox: Mailbox) -> None:
    """Protects our own network from a mail server's address too."""
    with pytest.raises(RefusedAddress, match="loopback"):
        build("email", config_of(mailbox), policy=Policy()).send(MESSAGE)
    build("email", config_of(mailbox), policy=Policy(allow_private=True)).send(MESSAGE)
    assert len(mailbox.mails) == 1


def test_no_starttls_means_no_mail(mailbox: Mailbox) -> None:
    """Protects the password against a server, or somebody between, that offers no encryption."""
    channel = build("email", config_of(mailbox, mode="starttls", user="me", password=PASSWORD))
    with pytest.raises(PermanentError, match="STARTTLS"):
        channel.send(MESSAGE)
    assert mailbox.logins == mailbox.mails == []


@pytest.mark.parametrize(
    ("verb", "answer", "error"),
    [
        ("AUTH", f"535 no such login {PASSWORD}", PermanentError),
        ("MAIL", "550 you may not send", PermanentError),
        ("MAIL", "451 try later", TemporaryError),
        ("DATA", "552 too big", PermanentError),
        ("DATA", "421 going down", TemporaryError),
        ("CONNECT", "421 too busy", TemporaryError),
        ("CONNECT", "554 not for you", PermanentError),
    ],
)
def test_answers_of_the_server_are_judged(
    verb: str, answer: str, error: type[Exception], mailbox: Mailbox
) -> None:
    """Protects the retries: 4xx is for now, 5xx for good; the answer is shown, the password is not."""
    mailbox.answers[verb] = answer
    channel = build("email", config_of(mailbox, user="me", password=PASSWORD))
    with pytest.raises(error, match=answer[:3]) as refused:
        channel.send(MESSAGE)
    assert PASSWORD not in str(refused.value) + repr(channel) and mailbox.mails == []


@pytest.mark.parametrize(("code", "error"), [(550, PermanentError), (450, TemporaryError)])
@pytest.mark.parametrize("all_of_them", [False, True])
def test_a_refused_recipient_is_told(
    code: int, error: type[Exception], all_of_them: bool, mailbox: Mailbox
) -> None:
    """Protects against silence for one of several: who was refused is named, and who got it."""
    mailbox.answers["RCPT a@example.org"] = f"{code} nobody here"
    if all_of_them:
        mailbox.answers["RCPT b@example.org"] = f"{code} nobody here"
    with pytest.raises(error, match=f"a@example.org: {code} nobody here") as refused:
        build("email", config_of(mailbox)).send(MESSAGE)
    assert ("1 others got it" in str(refused.value)) is not all_of_them
    assert len(mailbox.mails) == (0 if all_of_them else 1)


def test_a_server_that_hangs_or_is_gone_is_for_now(mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Protects a worker: the whole exchange has an end, also where single waits are within their limit."""
    channel = build("email", config_of(mailbox))
    mailbox.answers["EHLO"] = None
    monkeypatch.setattr(mail, "WHOLE_TIMEOUT", 0.2)
    monkeypatch.setattr(mail, "TIMEOUT", 60.0)
    began = time.monotonic()
    with pytest.raises(TemporaryError):
        channel.send(MESSAGE)
    assert time.monotonic() - began < 30
    monkeypatch.setattr(mail, "WHOLE_TIMEOUT", 20.0)
    monkeypatch.setattr(mail, "TIMEOUT", 0.2)
    with pytest.raises(TemporaryError):
        channel.send(MESSAGE)
    monkeypatch.undo()
    with mailing() as gone:
        config = config_of(gone)
    with pytest.raises(TemporaryError, match="refused"):
        build("email", config).send(MESSAGE)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"to": ["nobody"]}, "to"),
        ({"to": ["a@example.org, b@example.org"]}, "to"),
        ({"to": []}, "to"),
        ({"to": "a@example.org"}, "to"),
        ({"from_address": "me"}, "from_address"),
        ({"from_address": "a@example.org\nBcc: b@example.org"}, "from_address"),
        ({"port": 70_000}, "port"),
        ({"port": "25"}, "port"),
        ({"mode": "ssl"}, "mode"),
        ({"user": "me"}, "password"),
        ({"user": "me", "password": "pässword"}, "password"),
        ({"host": ""}, "host"),
    ],
)
def test_settings_that_cannot_work_are_refused(change: dict[str, Any], field: str, mailbox: Mailbox) -> None:
    """Protects against finding out at night: the field is named when the channel is saved."""
    with pytest.raises(ConfigError) as wrong:
        build("email", config_of(mailbox, **change))
    assert wrong.value.field == field
