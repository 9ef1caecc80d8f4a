"""The apprise channel against local sinks: what it sends, how it judges, and what it refuses to do."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from notifications.channels import apprise_channel, apprise_library
from notifications.channels import exchange as exchanging
from notifications.channels.guard import Policy, RefusedAddress
from notifications.channels.registry import build
from notifications.core.alert import Text
from notifications.core.errors import ConfigError, PermanentError, TemporaryError
from tests.contract.channels.service_samples import MESSAGE, RESOLVED
from tests.contract.channels.sink import NEVER, Sink, sinking
from tests.contract.channels.smtp import mailing

TOKEN = "t0ken-0123456789abcdef"


def url_of(sink: Sink) -> str:
    return f"json://me:{TOKEN}@{sink.host}/hook/{TOKEN}"


def test_a_service_gets_the_message(sink: Sink) -> None:
    """Protects the plain way: title, body with links and kind arrive as the service wants them, with its login."""
    answer = build("apprise", {"url": url_of(sink)}).send(MESSAGE)
    build("apprise", {"url": [url_of(sink)]}).send(RESOLVED)
    first, second = (got.json for got in sink.got)
    assert answer == "JSON: 200 {}"
    assert sink.got[0].path == f"/hook/{TOKEN}" and sink.got[0].headers["Authorization"].startswith("Basic ")
    assert (first["title"], first["type"], second["type"]) == ("web is down", "failure", "success")
    assert first["message"].startswith("exit code 137\n<!channel>") and first["attachments"] == []
    assert first["message"].endswith("Acknowledge: https://selfheal.example/l/ack")


def test_odd_text_is_sent(sink: Sink) -> None:
    """Protects alerts that quote what a container printed, and those without a word."""
    for text in (Text("\x1b[31m容器\ud800\0", "a\r\n\ud800b"), Text("", "")):
        build("apprise", {"url": url_of(sink)}).send(replace(MESSAGE, text=text))
    build("apprise", {"url": url_of(sink)}).send(replace(MESSAGE, text=Text("", ""), links=()))
    assert len(sink.got) == 3


@pytest.mark.parametrize(
    ("scheme", "path", "field"),
    [
        ("gotify://{host}/" + TOKEN, "/message", "message"),
        ("mmost://{host}/" + "a" * 26, "/hooks/" + "a" * 26, "text"),
        ("ntfy://{host}/topic", "/", "message"),
        ("synology://{host}/" + TOKEN, "/webapi/entry.cgi", "payload"),
        ("rocket://user:" + TOKEN + "@{host}/#room", "/api/v1/login", "username"),
        ("matrix://me:" + TOKEN + "@{host}/!room:example.org", "/_matrix/client/", "login"),
    ],
)
def test_services_of_several_kinds_go_through_our_door(
    scheme: str, path: str, field: str, sink: Sink
) -> None:
    """Protects the breadth: plug-ins that post JSON, forms, and log in first, all are seen and reach the sink."""
    rocket = {"status": "success", "data": {"authToken": "a", "userId": "b"}, "success": True}
    matrix = {
        "access_token": "a",
        "home_server": "h",
        "user_id": "@me:h",
        "room_id": "!room:example.org",
        "event_id": "$1",
    }
    sink.says(200, {**rocket, **matrix})
    build("apprise", {"url": scheme.format(host=sink.host)}).send(MESSAGE)
    assert sink.got[0].path.startswith(path) and field in sink.got[0].body.decode()


def test_statuses_are_judged_and_secrets_masked(sink: Sink) -> None:
    """Protects the retries: what Apprise makes into False is told apart, and nothing of the address is quoted."""
    channel = build("apprise", {"url": url_of(sink)})
    echo = {"error": f"bad {TOKEN}"}
    sink.says(429, echo, Retry_After="7")
    with pytest.raises(TemporaryError) as busy:
        channel.send(MESSAGE)
    assert busy.value.retry_after == 7
    sink.says(500, echo)
    with pytest.raises(TemporaryError, match="JSON: answered 500"):
        channel.send(MESSAGE)
    sink.says(404, echo)
    with pytest.raises(PermanentError, match="JSON: answered 404") as refused:
        channel.send(MESSAGE)
    assert TOKEN not in str(refused.value) + str(busy.value) + repr(channel)


def test_redirects_are_not_followed(sink: Sink) -> None:
    """Protects against being sent on to another address, however an address asks for it."""
    with sinking() as elsewhere:
        for url in (url_of(sink), f"{url_of(sink)}?redirect=yes"):
            sink.says(301, {}, Location=f"{elsewhere.url}/trap")
            with pytest.raises(PermanentError, match="redirects are not followed"):
                build("apprise", {"url": url}).send(MESSAGE)
        assert elsewhere.got == []


def test_no_answer_is_for_now(sink: Sink, monkeypatch: pytest.MonkeyPatch) -> None:
    """Protects a worker: a service that hangs or is gone ends within the limit, whatever the address asks for."""
    monkeypatch.setattr(exchanging, "TIMEOUT", 0.2)
    sink.status = NEVER
    with pytest.raises(TemporaryError, match=r"did not answer within 0\.2 s"):
        build("apprise", {"url": f"{url_of(sink)}?rto=600&cto=600&retry=9"}).send(MESSAGE)
    monkeypatch.undo()
    assert len(sink.got) <= 1
    with sinking() as gone:
        url = url_of(gone)
    with pytest.raises(TemporaryError, match="could not be reached"):
        build("apprise", {"url": url}).send(MESSAGE)


def test_several_addresses(sink: Sink) -> None:
    """Protects against silence for one of several: each gets it, and one that fails is told with the others' success."""
    with sinking() as other:
        channel = build("apprise", {"url": f"{url_of(sink)}\n\n{url_of(other)}\n"})
        assert channel.send(MESSAGE) == "JSON: 200 {}; JSON: 200 {}"
        other.says(400, {})
        with pytest.raises(PermanentError, match="400 {}; the other 1 took it"):
            channel.send(MESSAGE)
        sink.says(503, {})
        with pytest.raises(TemporaryError, match=r"503.*400"):
            channel.send(MESSAGE)
        assert len(sink.got) == len(other.got) == 3


def test_one_message_within_the_limit_of_the_service(sink: Sink) -> None:
    """Protects against a storm of pieces: what is too long is cut, and the end says how much is left out."""
    message = replace(MESSAGE, text=Text("t" * 400, "a line of a log\n" * 4000))
    build("apprise", {"url": f"mmost://{sink.host}/{'a' * 26}?overflow=split"}).send(message)
    text = sink.got[0].json["text"]
    assert len(sink.got) == 1 and len(text) <= 4000
    assert "more characters)" in text and "https://selfheal.example/failures/8" in text


def test_a_refused_address_is_refused_for_apprise_too(sink: Sink) -> None:
    """Protects our own network: the policy holds for what the library connects to."""
    channel = build("apprise", {"url": url_of(sink)}, policy=Policy())
    with pytest.raises(RefusedAddress, match="loopback"):
        channel.send(MESSAGE)
    assert sink.got == []
    build("apprise", {"url": url_of(sink)}, policy=Policy(allow_private=True)).send(MESSAGE)
    assert len(sink.got) == 1


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "must hold an address"),
        ("nonsense", "no service of Apprise"),
        ("nonsense://host", "no service of Apprise"),
        ("file:///etc/passwd", "no service of Apprise"),
        ("syslog://", "on the machine that Selfheal runs on"),
        ("dbus://", "on the machine that Selfheal runs on"),
        ("gnome://", "on the machine that Selfheal runs on"),
        ("macosx://", "on the machine that Selfheal runs on"),
        ("windows://", "on the machine that Selfheal runs on"),
        ("rsyslog://127.0.0.1", "does not use HTTP"),
        ("mqtt://127.0.0.1/topic", "does not use HTTP"),
        ("irc://127.0.0.1/#room", "does not use HTTP"),
        ("fcm://project/device?keyfile=/etc/passwd", "reads key files"),
        ("json://", "no service of Apprise"),
        (f"slack://{TOKEN}", "slack://"),
    ],
)
def test_addresses_that_cannot_be_used_are_refused(url: str, reason: str) -> None:
    """Protects the machine: nothing local, no files, nothing whose connections cannot be seen; no secret is quoted."""
    with pytest.raises(ConfigError) as wrong:
        build("apprise", {"url": url})
    assert wrong.value.field == "url" and reason in wrong.value.reason and TOKEN not in wrong.value.reason


def test_no_file_and_no_variable_is_read(sink: Sink, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Protects files and environment: an address that names a file is refused, one that names a variable gets none."""
    secret = tmp_path / "secret.json"
    secret.write_text('{"text": "TOP-SECRET"}')
    monkeypatch.setenv("APPRISE_TEMPLATE_WORD", "TOP-SECRET")
    slack, discord = f"slack://T{'A' * 8}/B{'B' * 8}/{'c' * 24}", f"discord://{'1' * 18}/{'x' * 60}"
    for url in (
        f"{slack}?template={secret}",
        f"{discord}?TEMPLATE=file://{secret}",
        f"mailto://me:{TOKEN}@example.org?pgp=encrypt&pgppub={secret}",
    ):
        with pytest.raises(ConfigError, match="names a file, and none is read"):
            build("apprise", {"url": url})
    monkeypatch.setattr(apprise_channel, "FILE_ARGUMENTS", frozenset())
    for url in (f"{slack}?template={secret}", f"{discord}?template=file://{secret}"):
        with pytest.raises(ConfigError, match="cannot be used as written"):
            build("apprise", {"url": url})
    build("apprise", {"url": f"{url_of(sink)}?+X-Word={{{{WORD}}}}"}).send(MESSAGE)
    assert "TOP-SECRET" not in str(sink.got[0].headers)


def test_a_sending_has_an_end_also_with_many_exchanges(sink: Sink, monkeypatch: pytest.MonkeyPatch) -> None:
    """Protects a worker from an address with many recipients of a slow service."""
    monkeypatch.setattr(apprise_channel, "WHOLE_TIMEOUT", 0.0)
    with pytest.raises(TemporaryError, match="no time left"):
        build("apprise", {"url": url_of(sink)}).send(MESSAGE)
    assert sink.got == []


def test_tokens_in_the_place_of_a_host_are_masked(sink: Sink, monkeypatch: pytest.MonkeyPatch) -> None:
    """Protects secrets: in many addresses of Apprise the host is the token."""
    from apprise.plugins.dingtalk import NotifyDingTalk

    monkeypatch.setattr(NotifyDingTalk, "notify_url", f"{sink.url}/send?access_token={{token}}")
    token = "a1b2" * 8
    sink.says(403, {"errmsg": f"token {token} is unknown"})
    with pytest.raises(PermanentError) as refused:
        build("apprise", {"url": f"dingtalk://{token}"}).send(MESSAGE)
    assert "403" in str(refused.value) and token not in str(refused.value)


def test_mail_by_apprise(sink: Sink) -> None:
    """Protects those who have an address of Apprise for their mail: it is sent; a refusal is for now."""
    with mailing() as box:
        url = f"mailto://127.0.0.1:{box.port}?from=heal@example.org&to=a@example.org&mode=insecure"
        build("apprise", {"url": url}).send(MESSAGE)
        assert box.recipients == [["a@example.org"]] and box.mails[0]["Subject"] == "web is down"
        box.answers["MAIL"] = "550 no"
        with pytest.raises(TemporaryError, match="did not send it"):
            build("apprise", {"url": url}).send(MESSAGE)


def test_codes_inside_a_200_are_seen(sink: Sink, monkeypatch: pytest.MonkeyPatch) -> None:
    """Protects against silence: DingTalk and its like refuse with 200, which Apprise takes for success."""
    from apprise.plugins.dingtalk import NotifyDingTalk

    monkeypatch.setattr(NotifyDingTalk, "notify_url", f"{sink.url}/send?access_token={{token}}")
    channel = build("apprise", {"url": f"dingtalk://{'a' * 32}"})
    sink.says(200, {"errcode": 310000, "errmsg": "keywords not in content"})
    with pytest.raises(PermanentError, match="310000"):
        channel.send(MESSAGE)
    sink.says(200, {"errcode": 0, "errmsg": "ok"})
    assert "errcode" in str(channel.send(MESSAGE))


def test_nothing_is_sent_outside_of_a_sending(sink: Sink) -> None:
    """Protects the guard: a plug-in that calls while it is only being set up gets nowhere."""
    plugin = apprise_library.instantiate(apprise_library.parse(url_of(sink)) or {})
    assert plugin.notify(body="x", title="y") is False and sink.got == []


def test_apprise_is_loaded_only_where_it_is_used() -> None:
    """Protects every other process from a third of a second and many megabytes."""
    code = (
        "import sys; from notifications.channels.registry import fields_of, BUILT_IN; "
        "[fields_of(kind) for kind in BUILT_IN]; assert 'apprise' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60, cwd=Path(__file__).parents[3])
