"""What each service of the form kinds really sends, and what its own answers mean, against local sinks."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from dataclasses import replace
from typing import Any

import pytest

from notifications.channels.registry import build
from notifications.core.alert import Text
from notifications.core.errors import ConfigError, PermanentError, TemporaryError
from notifications.core.ports import Sent
from tests.contract.channels.service_samples import (
    GOOD,
    MESSAGE,
    OPEN,
    RESOLVED,
    SECRET,
    SLACK_OK,
    config_of,
    sent,
)
from tests.contract.channels.sink import Sink

# --- chats -------------------------------------------------------------------------------------------------------


def test_slack_writes_as_a_bot_and_keeps_the_thread(sink: Sink) -> None:
    """Protects threads: the first answer's ts is handed back, later messages name it, the end is shown to all."""
    sink.says(200, SLACK_OK)
    channel = build("slack", config_of("slack", sink))
    first = channel.send(MESSAGE)
    assert isinstance(first, Sent) and first.thread_ref == SLACK_OK["ts"]
    got = sink.got[0]
    assert got.path == "/api/chat.postMessage" and got.headers["Authorization"] == f"Bearer {SECRET}"
    assert got.json["channel"] == "#ops" and "thread_ts" not in got.json
    assert got.json["text"].startswith("*web is down*\nexit code 137\n&lt;!channel&gt;")
    assert "<https://selfheal.example/failures/8?a=1&b=2|Open>" in got.json["text"]
    sink.says(200, {**SLACK_OK, "ts": "1700000009.000900"})
    second = channel.send(replace(RESOLVED, thread_ref=first.thread_ref))
    assert isinstance(second, Sent) and second.thread_ref == SLACK_OK["ts"]
    assert sink.got[1].json["thread_ts"] == SLACK_OK["ts"] and sink.got[1].json["reply_broadcast"] is True


def test_slack_says_no_with_200(sink: Sink) -> None:
    """Protects against silence: `ok: false` is a failure, and only some of those pass by themselves."""
    channel = build("slack", config_of("slack", sink))
    sink.says(200, {"ok": False, "error": "channel_not_found"})
    with pytest.raises(PermanentError, match="channel_not_found"):
        channel.send(MESSAGE)
    sink.says(200, {"ok": False, "error": "internal_error"})
    with pytest.raises(TemporaryError):
        channel.send(MESSAGE)
    sink.body = b"<html>not Slack</html>"
    with pytest.raises(PermanentError):
        channel.send(MESSAGE)


def test_slack_by_webhook(sink: Sink) -> None:
    """Protects the simple way: the same text to the webhook, whose plain `ok` is a success; not both ways at once."""
    sink.body = b"ok"
    assert build("slack", {"webhook_url": f"{sink.url}/services/T/B/{SECRET}"}).send(MESSAGE) == "200 ok"
    assert sink.got[0].path == f"/services/T/B/{SECRET}" and "channel" not in sink.got[0].json
    for config in (
        {},
        {"bot_token": "x"},
        {"bot_token": "x", "webhook_url": sink.url},
        {"bot_token": "é", "channel": "a"},
    ):
        with pytest.raises(ConfigError):
            build("slack", config)


def test_telegram_answers_its_first_message(sink: Sink) -> None:
    """Protects threads and plain text: no parse mode, and the number of the first message is the thread."""
    got = sent("telegram", sink)
    assert got.path == f"/bot123:{SECRET}/sendMessage"
    assert got.json["chat_id"] == "-100" and "parse_mode" not in got.json
    assert got.json["text"].startswith("web is down\n\nexit code 137\n<!channel>")
    assert got.json["text"].endswith("Acknowledge: https://selfheal.example/l/ack")
    sink.says(200, GOOD["telegram"])
    answer = build("telegram", config_of("telegram", sink)).send(replace(RESOLVED, thread_ref="41"))
    assert isinstance(answer, Sent) and answer.thread_ref == "41"
    assert sink.got[-1].json["reply_parameters"] == {"message_id": 41, "allow_sending_without_reply": True}


def test_telegram_mentions_nobody(sink: Sink) -> None:
    """Protects people from a container's log line that names them, and the limit from what is put in against it."""
    calls = "@someone_else " * 900
    named = replace(MESSAGE, text=Text("web is down", calls))
    text = sent("telegram", sink, named).json["text"]
    assert "@\N{WORD JOINER}someone_else" in text and "@s" not in text
    assert len(text.encode("utf-16-le")) // 2 <= 4096


def test_telegram_and_discord_say_in_the_body_how_long_to_wait(sink: Sink) -> None:
    """Protects the limits of both, which are not in a header."""
    for kind, body in (
        ("telegram", {"ok": False, "parameters": {"retry_after": 31}}),
        ("discord", {"retry_after": 31}),
    ):
        sink.says(429, body)
        with pytest.raises(TemporaryError) as busy:
            build(kind, config_of(kind, sink)).send(MESSAGE)
        assert busy.value.retry_after == 31


def test_discord_mentions_nobody(sink: Sink) -> None:
    """Protects people from what a container says: no mention, no mark-up; the colour says how grave it is."""
    embed = sent("discord", sink).json
    assert embed["allowed_mentions"] == {"parse": []}
    assert embed["embeds"][0]["title"] == "web is down" and embed["embeds"][0]["color"] == 0xE01E5A
    assert "[Open](https://selfheal.example/failures/8?a=1&b=2)" in embed["embeds"][0]["description"]
    assert sent("discord", sink, RESOLVED).json["embeds"][0]["color"] == 0x2EB67D


def test_teams_gets_an_adaptive_card(sink: Sink) -> None:
    """Protects the workflow's shape: a card with the lines as plain runs and the links as buttons."""
    attachment = sent("teams", sink).json["attachments"][0]
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    card = attachment["content"]
    assert card["type"] == "AdaptiveCard" and card["body"][0]["inlines"][0]["text"] == "web is down"
    lines = [block["inlines"][0]["text"] for block in card["body"][1:]]
    assert lines == MESSAGE.body.splitlines()
    assert card["actions"][0] == {"type": "Action.OpenUrl", "title": "Open", "url": OPEN.url}


def test_dingtalk_is_signed(sink: Sink) -> None:
    """Protects the signature: recomputed from what arrived, with the secret as key, over milliseconds."""
    got = sent("dingtalk", sink)
    assert got.query["access_token"] == SECRET
    assert abs(int(got.query["timestamp"]) / 1000 - time.time()) < 60
    secret = "SEC" + SECRET
    digest = hmac.new(
        secret.encode(), f"{got.query['timestamp']}\n{secret}".encode(), hashlib.sha256
    ).digest()
    assert got.query["sign"] == base64.b64encode(digest).decode()
    assert got.json["msgtype"] == "text" and got.json["text"]["content"].startswith(
        "web is down\n\nexit code"
    )
    assert "sign" not in sent("dingtalk", sink, secret="").query


def test_feishu_is_signed(sink: Sink) -> None:
    """Protects the signature: both lines are the key, the text is empty, the time is in seconds."""
    got = sent("feishu", sink).json
    assert abs(int(got["timestamp"]) - time.time()) < 60
    digest = hmac.new(f"{got['timestamp']}\n{SECRET}".encode(), b"", hashlib.sha256).digest()
    assert got["sign"] == base64.b64encode(digest).decode()
    post = got["content"]["post"]["zh_cn"]
    assert post["title"] == "web is down" and post["content"][0][0]["text"] == MESSAGE.body
    assert post["content"][1] == [{"tag": "a", "text": "Open", "href": OPEN.url}]
    assert "sign" not in sent("feishu", sink, secret="").json


def test_wecom_gets_markdown_that_mentions_nobody(sink: Sink) -> None:
    """Protects people from what a container says."""
    content = sent("wecom", sink).json["markdown"]["content"]
    assert content.startswith("**web is down**\nexit code 137\n＜!channel>")
    assert f"[Open]({OPEN.url})" in content


@pytest.mark.parametrize(
    ("kind", "for_now", "for_good"),
    [
        (
            "dingtalk",
            {"errcode": 130101, "errmsg": "send too fast"},
            {"errcode": 310000, "errmsg": "sign not match"},
        ),
        (
            "wecom",
            {"errcode": 45009, "errmsg": "api freq out of limit"},
            {"errcode": 93000, "errmsg": "invalid webhook"},
        ),
        ("feishu", {"code": 11232, "msg": "frequency limited"}, {"code": 19021, "msg": "sign match fail"}),
    ],
)
def test_a_refusal_inside_a_200_is_a_failure(kind: str, for_now: Any, for_good: Any, sink: Sink) -> None:
    """Protects against silence: these answer 200 to everything and say in the body whether they took it."""
    channel = build(kind, config_of(kind, sink))
    sink.says(200, for_now)
    with pytest.raises(TemporaryError):
        channel.send(MESSAGE)
    sink.says(200, for_good)
    with pytest.raises(PermanentError):
        channel.send(MESSAGE)
    sink.says(200, {})
    with pytest.raises(PermanentError):
        channel.send(MESSAGE)


# --- incidents and telephones ------------------------------------------------------------------------------------


def test_pagerduty_opens_and_closes_one_incident(sink: Sink) -> None:
    """Protects the pair: the resolution names the key that the trigger opened."""
    opened, closed = sent("pagerduty", sink).json, sent("pagerduty", sink, RESOLVED).json
    assert sink.got[0].path == "/v2/enqueue" and opened["routing_key"] == SECRET
    assert (opened["event_action"], closed["event_action"]) == ("trigger", "resolve")
    assert opened["dedup_key"] == closed["dedup_key"] == "group/7"
    payload = opened["payload"]
    assert (payload["summary"], payload["source"], payload["severity"]) == (
        "web is down",
        "local",
        "critical",
    )
    assert payload["class"] == "container_failed" and payload["custom_details"]["text"] == MESSAGE.body
    assert opened["links"][0] == {"href": OPEN.url, "text": "Open"}
    long = replace(MESSAGE, thread="k" * 300)
    again = replace(RESOLVED, thread="k" * 300)
    keys = {sent("pagerduty", sink, each).json["dedup_key"] for each in (long, again)}
    assert len(keys) == 1 and len(keys.pop()) <= 255


def test_opsgenie_opens_and_closes_one_alert(sink: Sink) -> None:
    """Protects the pair: opened with the alias, closed by it, also where it holds a slash."""
    opened, closed = sent("opsgenie", sink), sent("opsgenie", sink, RESOLVED)
    assert opened.path == "/v2/alerts" and opened.headers["Authorization"] == f"GenieKey {SECRET}"
    assert opened.json["alias"] == "group/7" and opened.json["priority"] == "P1"
    assert opened.json["details"]["container"] == "shop-web-1"
    assert closed.path == "/v2/alerts/group%2F7/close?identifierType=alias"
    assert closed.json["note"].startswith("web is up again")


def test_regions_have_their_own_addresses() -> None:
    """Protects European accounts: their key is unknown to the other region."""
    pagerduty: Any = build("pagerduty", {"integration_key": "k", "region": "eu"})
    opsgenie: Any = build("opsgenie", {"api_key": "k", "region": "eu"})
    assert pagerduty.request(MESSAGE).url == "https://events.eu.pagerduty.com/v2/enqueue"
    assert opsgenie.request(MESSAGE).url == "https://api.eu.opsgenie.com/v2/alerts"


def test_twilio_sends_a_short_message_and_calls(sink: Sink) -> None:
    """Protects telephones: title and one link by message; the title read out twice in its language."""
    sms = sent("twilio_sms", sink)
    login = base64.b64encode(f"AC0123456789:{SECRET}".encode()).decode()
    assert sms.path == "/2010-04-01/Accounts/AC0123456789/Messages.json"
    assert sms.headers["Authorization"] == f"Basic {login}"
    assert sms.form == {"From": "+4915112345678", "To": "+8613912345678", "Body": f"web is down {OPEN.url}"}
    call = sent("twilio_voice", sink, replace(MESSAGE, text=Text("a < b & c", "")))
    assert call.path.endswith("/Calls.json")
    assert call.form["Twiml"] == '<Response><Say language="en-US" loop="2">a &lt; b &amp; c</Say></Response>'
    chinese = sent("twilio_voice", sink, replace(MESSAGE, text=Text("网站宕机", "")))
    assert 'language="zh-CN"' in chinese.form["Twiml"]


def test_ntfy_publishes_json(sink: Sink) -> None:
    """Protects priority, buttons and login; three buttons at most."""
    got = sent("ntfy", sink, replace(MESSAGE, links=(OPEN,) * 5))
    assert got.path in ("", "/") and got.headers["Authorization"] == f"Bearer {SECRET}"
    assert (got.json["topic"], got.json["title"], got.json["priority"]) == ("ops", "web is down", 5)
    assert got.json["message"] == MESSAGE.body
    assert got.json["actions"] == [{"action": "view", "label": "Open", "url": OPEN.url}] * 3
    by_user = sent("ntfy", sink, token="", user="me", password="pä")
    assert by_user.headers["Authorization"] == "Basic " + base64.b64encode("me:pä".encode()).decode()
