"""What people read: the golden texts in tests/data/messages, and what holds for every message."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from healing.core.alertnames import AlertName
from healing.core.types import FOUND_TYPES, ActionKind
from healing.models import AttemptState
from notifications.core.alert import Alert, AlertKind, AlertLevel, Link, Message, Outcome, Text, Told
from notifications.core.dedup import ALL_RESOLVED, FIRST, NEW, SOME_RESOLVED
from notifications.messages import LANGUAGES, fit, labelled, preview, render, sample_message
from notifications.messages.fit import utf8
from notifications.messages.library import register
from notifications.messages.sentences import sentence
from notifications.messages.view import LISTED, view
from notifications.messages.words import one_line, words_of

GOLDEN = Path(__file__).parents[2] / "data" / "messages"
NOW = datetime(2026, 3, 1, 3, 12, 45, tzinfo=UTC)
URL = "https://selfheal.example.org/"
PLACE: dict[str, Any] = {"host": "node-1", "project": "shop", "service": "web", "container": "shop-web-1"}


def failing(**changes: Any) -> Alert:
    """A container whose first restart is being verified."""
    details = {
        "since": "2026-03-01T03:12:05+00:00",
        "cause": "out of memory",
        "evidence": ["Its process has ended: killed by SIGKILL (137).", "The engine says: OOMKilled"],
        "log_tail": ["03:12:03 \x1b[31mERROR\x1b[0m cannot allocate 512 MB", "", "03:12:04 <worker> killed"],
        "health_output": "curl: (7) connection refused\n",
        "tried": [
            {"action": "restart", "at": "2026-03-01T03:12:06+00:00", "result": "verifying", "seconds": None}
        ],
        "next": "Selfheal sees by 03:13:06 UTC whether that has worked; if not, attempt 2 of at most 3 follows.",
        "path": "/admin/healing/failurerecord/7/change/",
    }
    fields: dict[str, Any] = {
        "level": AlertLevel.ERROR,
        "title": "shop-web-1 was killed: out of memory",
        "body": "Out of memory.\nWaiting for it: shop-worker-1, shop-worker-2.\nNext: see above.",
        "alert_key": "container:7",
        "alertname": "container_failed",
        "failure_type": "container_stopped",
        "details": details,
        **PLACE,
    }
    return Alert(**{**fields, **changes})


def healed(**changes: Any) -> Alert:
    """The same container, healed by the second attempt."""
    details = {
        **failing().details,
        "ended": "2026-03-01T03:16:17+00:00",
        "seconds": 252.0,
        "tried": [
            {"action": "restart", "at": "2026-03-01T03:12:06+00:00", "result": "failed", "seconds": 61.2, "why": "exited"},
            {"action": "recreate", "at": "2026-03-01T03:13:30+00:00", "result": "succeeded", "seconds": 166.9, "why": "healthy"},
        ],
    }  # fmt: skip
    del details["next"]
    fields = {
        "level": AlertLevel.INFO,
        "kind": AlertKind.RESOLVED,
        "title": "shop-web-1 is healthy again",
        "body": "It failed at 2026-03-01 03:12:05 UTC: out of memory\nDone: restarted.\nIt was failing for 0:04:12.",
        "outcome": Outcome.HEALED,
        "details": details,
    }
    return failing(**{**fields, **changes})


def host_down() -> Alert:
    error = "connection refused at tcp://10.0.0.5:2376"
    return Alert(
        AlertLevel.ERROR,
        "Host node-5 does not answer",
        f"{error}\nNothing is known of its containers and none is healed until it answers (since 03:10:00 UTC).",
        host="node-5",
        alertname="host_down",
        alert_key="host:5",
        details={
            "since": "2026-03-01T03:10:00+00:00",
            "cause": error,
            "next": "Selfheal goes on asking it; checks and heals go on as soon as it answers.",
            "path": "/admin/healing/host/5/change/",
        },
    )


def message(*alerts: Alert, **fields: Any) -> Message:
    told = tuple(Told(f"id-{number}", NOW, alert) for number, alert in enumerate(alerts))
    return Message("m-1", NOW, alerts[0], alerts=told if len(told) > 1 else (), **fields)


def storm() -> Message:
    """1,980 alerts in one message."""
    alerts = [
        failing(
            level=AlertLevel.CRITICAL if number == 5 else AlertLevel.ERROR,
            title=f"shop-web-{number} was killed: out of memory",
            container=f"shop-web-{number}",
            details={
                "since": "2026-03-01T03:12:05+00:00",
                "path": f"/admin/healing/failurerecord/{number}/change/",
            },
            body="",
        )
        for number in range(1_980)
    ]
    labels = {"alertname": "container_failed", "host": "node-1"}
    return replace(message(*alerts, group_labels=labels, reason=FIRST.reason), alert=alerts[5])


CASES: dict[str, Callable[[str], Message]] = {
    "failing": lambda _: message(
        failing(tenant="shop team"), links=(Link("ack", "Acknowledge", f"{URL}a/1"), Link("silence", "Silence for 1 h", f"{URL}s/1"))
    ),
    "healed": lambda _: message(healed(), reason=ALL_RESOLVED.reason),
    "host_down": lambda _: message(host_down()),
    "flapping": lambda _: message(failing(details={}, body=""), reason="new alerts fire; flapping, 12 times in 10 min"),
    "bare": lambda _: message(Alert(AlertLevel.WARNING, "Something is wrong", "Only words.\nTwo lines.")),
    "sample_group": sample_message,
    "storm": lambda _: storm(),
}  # fmt: skip


def rendered(made: Message, language: str) -> Text:
    return render(made, language, None, URL, now=NOW)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("case", CASES)
def test_golden(case: str, language: str) -> None:
    """Each main case reads as it was approved; see the files for the words themselves."""
    text = rendered(CASES[case](language), language)
    expected = (GOLDEN / f"{case}.{language}.txt").read_text(encoding="utf-8")
    assert f"{text.title}\n\n{text.body}\n" == expected


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("case", CASES)
def test_html_says_what_the_text_says(case: str, language: str) -> None:
    """Who reads mail learns no less: every address, name, log line and attempt is in the HTML too."""
    made = CASES[case](language)
    html = rendered(made, language).html
    alert = made.alert
    facts = [alert.host, alert.container, alert.service, *(link.url for link in made.links)]
    facts += (
        ["cannot allocate 512 MB", "&lt;worker&gt; killed", "OOMKilled"]
        if case in ("failing", "healed")
        else []
    )
    facts += ["and 1,959 more" if language == "en" else "另有 1,959 条"] if case == "storm" else []
    assert [fact for fact in facts if fact not in html] == []


def test_the_gravest_is_told_in_full_and_the_list_has_an_end() -> None:
    """2,000 alerts make one message that can be read."""
    text = rendered(storm(), "en")
    assert "Container: shop-web-5\n" in text.body
    assert text.body.count("\n- [ERROR]") == LISTED
    assert f"- and {1_980 - 1 - LISTED:,} more" in text.body
    assert len(text.body) < 5_000 and len(text.html) < 20_000


def test_what_fires_comes_before_what_has_ended_and_the_graver_first() -> None:
    """The eye falls on what needs a hand."""
    alerts = (
        failing(container="a", title="a"),
        healed(container="b", title="b"),
        failing(container="c", title="c", level=AlertLevel.WARNING),
        failing(container="d", title="d", level=AlertLevel.CRITICAL),
    )
    body = rendered(message(*alerts), "en").body
    others = [line[2:].split(" – ")[0] for line in body.splitlines() if line.startswith("- [")]
    assert others == ["[CRITICAL] d", "[WARNING] c", "[RESOLVED] b"]


def test_how_it_ended_and_how_long_it_took() -> None:
    """A resolution tells the end, also where only the begin and the time of writing are known."""
    body = rendered(message(healed()), "en").body
    assert "Outcome: healed\n" in body and "(after 4 min 12 s)" in body
    only_since = healed(details={"since": "2026-03-01T03:02:45Z"})
    assert "Ended: 2026-03-01 03:12:45 UTC (after 10 min)" in rendered(message(only_since), "en").body
    assert (
        "Ended: 2026-03-01 03:12:45 UTC\n"
        in rendered(message(healed(details={}, service="")), "en").body + "\n"
    )


def test_nothing_is_said_twice() -> None:
    """The pipeline's own text repeats what its details hold; people read each thing once."""
    for alert in (failing(), healed()):
        body = rendered(message(alert), "en").body.lower()
        assert body.count("out of memory") == 1
        assert "it was failing for" not in body and "see above" not in body
    assert "Waiting for it: shop-worker-1" in rendered(message(failing()), "en").body


@pytest.mark.parametrize("name", AlertName)
@pytest.mark.parametrize("kind", AlertKind)
def test_every_alert_has_a_chinese_sentence(name: AlertName, kind: AlertKind) -> None:
    """A Chinese reader gets a Chinese headline for everything that healing tells; events have no end."""
    if kind is AlertKind.RESOLVED and name is AlertName.STOPPED_WHILE_AWAY:
        return
    alert = failing(alertname=name.value, kind=kind, title="English")
    made = sentence(alert, "zh-hans")
    assert any("\u4e00" <= character <= "\u9fff" for character in made), made
    assert sentence(alert, "en") == "English"


def test_chinese_sentences_name_nothing_that_is_not_known() -> None:
    """Without a container or a host the English title is better than a gap."""
    assert sentence(Alert(AlertLevel.ERROR, "No name", alertname="quarantined"), "zh-hans") == "No name"
    assert sentence(Alert(AlertLevel.ERROR, "No name", alertname="host_down"), "zh-hans") == "No name"
    assert sentence(failing(title="Own", alertname="my_own", failure_type=""), "zh-hans") == "Own"
    assert sentence(failing(alertname="my_own"), "zh-hans") == "容器 shop-web-1 已停止运行"


@pytest.mark.parametrize("outcome", [outcome for outcome in Outcome if outcome])
def test_every_outcome_has_its_words(outcome: Outcome) -> None:
    """How it ended is told in the reader's language."""
    for language in LANGUAGES:
        assert outcome.value in words_of(language).outcomes
    alert = healed(outcome=outcome, kind="firing" if outcome is Outcome.GAVE_UP else "resolved")
    assert "shop-web-1" in sentence(alert, "zh-hans")


def test_every_word_of_healing_has_a_chinese_one() -> None:
    """A new action, failure or state of an attempt is not forgotten."""
    chinese = words_of("zh-hans")
    assert {kind.value for kind in FOUND_TYPES} <= set(chinese.failures)
    assert {kind.value for kind in ActionKind} <= set(chinese.actions)
    assert {state.value for state in AttemptState} <= set(chinese.results) & set(words_of("en").results)


@pytest.mark.parametrize(
    ("reason", "title", "body"),
    [
        (FIRST.reason, "", ""),
        (ALL_RESOLVED.reason, "", ""),
        (NEW.reason, "", "有新告警"),
        (SOME_RESOLVED.reason, "", "部分已恢复"),
        ("unchanged; repeated after 4 h", "状态未变，4 小时后重复提醒", "状态未变，4 小时后重复提醒"),
        (f"{NEW.reason}; flapping, 6 times in 2.5 min", "反复抖动，2.5 分钟内 6 次", "有新告警；反复抖动，2.5 分钟内 6 次"),
        (f"{FIRST.reason}; flapping, 6 times in 10 min", "反复抖动，10 分钟内 6 次", "反复抖动，10 分钟内 6 次"),
        ("not acknowledged within 15 min", "15 分钟内无人确认", "15 分钟内无人确认"),
        ("summary of 7 messages over the limit of 5 in 60 s", "汇总 7 条消息：超出 60 秒 5 条的频率限制", "汇总 7 条消息：超出 60 秒 5 条的频率限制"),
        ("something new", "", "something new"),
    ],
)  # fmt: skip
def test_reasons(reason: str, title: str, body: str) -> None:
    """Why a message is sent is told in the reader's language, and in the title where it changes what the headline means."""
    text = rendered(message(failing(), reason=reason), "zh-hans")
    assert text.title == "【错误】容器 shop-web-1 已停止运行" + (f"（{title}）" if title else "")
    assert (f"通知原因：{body}\n" in text.body) == bool(body) and ("通知原因" in text.body) == bool(body)
    english = rendered(message(failing(), reason=reason), "en").body
    assert ("Why now: " in english) == bool(body)


def test_links_are_left_to_the_channel_but_in_html() -> None:
    """Channels show a message's links as their service can, below the body: the body does not repeat them. HTML has each once."""
    page = f"{URL}admin/healing/failurerecord/7/change/"
    links = (Link("ack", "Acknowledge", f"{URL}a/1"), Link("open", "Open", page))
    text = rendered(message(failing(), links=links), "en")
    assert "https://" not in text.body
    assert text.html.count(page) == 1 and text.html.count(f"{URL}a/1") == 1
    assert rendered(message(failing(), links=links[:1]), "en").body.endswith(f"\nDetails: {page}")


@pytest.mark.parametrize(
    ("seconds", "english", "chinese"),
    [
        (0.0, "0 s", "0 秒"),
        (0.25, "250 ms", "250 毫秒"),
        (59.7, "1 min", "1 分"),
        (252, "4 min 12 s", "4 分 12 秒"),
        (7_200, "2 h", "2 小时"),
        (90_061, "1 d 1 h", "1 天 1 小时"),
        (-5, "0 s", "0 秒"),
        (None, "–", "–"),
        (float("nan"), "–", "–"),
    ],
)
def test_durations(seconds: float | None, english: str, chinese: str) -> None:
    """The two largest units are told."""
    assert (words_of("en").duration(seconds), words_of("zh-hans").duration(seconds)) == (english, chinese)


@pytest.mark.parametrize(
    ("alert", "expected"),
    [
        (healed(outcome="", title="shop-web-1: stopped by a person"), "容器 shop-web-1 的故障已结束（shop-web-1: stopped by a person）"),
        (healed(outcome=Outcome.GONE), "容器 shop-web-1 已被移除"),
        (healed(alertname="quarantined", outcome=Outcome.RECOVERED), "容器 shop-web-1 已自行恢复正常"),
        (healed(alertname="quarantined", outcome=""), "容器 shop-web-1 已解除隔离"),
        (failing(outcome=Outcome.GAVE_UP), "容器 shop-web-1 已停止运行，Selfheal 不再自动修复"),
        (failing(alertname="quarantined", outcome=Outcome.GAVE_UP), "容器 shop-web-1 已被隔离：多次修复无效，不再自动修复"),
        (failing(alertname="queue_unserved", title="No worker serves q"), "有任务队列没有工作进程处理（No worker serves q）"),
        (failing(alertname="breaker_open", title="5 of 9"), "主机 node-1 有大量容器同时故障（5 of 9）"),
    ],
)  # fmt: skip
def test_chinese_headlines_say_what_happened(alert: Alert, expected: str) -> None:
    """A container that a person stopped is not called healthy, and what only the English title names is kept."""
    assert sentence(alert, "zh-hans") == expected


def test_labels_of_links_are_translated() -> None:
    """English labels become Chinese for a Chinese reader; what is Chinese already stays."""
    words = words_of("zh-hans")
    assert words.link("ack", "Acknowledge") == "确认"
    assert words.link("silence", "Silence for 1 h") == "静默 1 小时"
    assert words.link("ack", "我来处理") == "我来处理"
    assert words.link("other", "Look") == "Look"
    assert words_of("en").link("ack", "Acknowledge") == "Acknowledge"
    assert labelled((Link("ack", "Acknowledge", "u"),), "zh-hans") == (Link("ack", "确认", "u"),)


def test_overrides_replace_single_templates() -> None:
    """A team writes its own title and keeps the rest."""
    plain = rendered(message(failing()), "en")
    own = render(
        message(failing()),
        "en",
        {"title": "{{ alert.project|upper }}: {{ title }}", "html": " "},
        URL,
        now=NOW,
    )
    assert own == replace(plain, title="SHOP: shop-web-1 was killed: out of memory")
    assert (
        preview("{{ alert.container }} {{ counts }}", "title", "zh-hans")
        == "shop-web-1 2 条告警中，1 条已恢复"
    )


def test_without_a_base_url_there_is_no_broken_link() -> None:
    """An installation that does not know its own address sends no half one."""
    text = render(message(failing()), "en", None, "", now=NOW)
    assert "Details" not in text.body + text.html


def test_an_unknown_language_is_english_and_every_chinese_is_chinese() -> None:
    """A language that was set somewhere else loses no message."""
    assert render(message(failing()), "fr", None, URL, now=NOW) == rendered(message(failing()), "en")
    assert render(message(failing()), "zh-CN", None, URL, now=NOW) == rendered(message(failing()), "zh-hans")


def test_a_fault_of_ours_loses_no_message(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Where everything else breaks the alert goes out as healing wrote it."""
    monkeypatch.setattr("notifications.messages.texts.view", lambda *_: 1 / 0)
    with caplog.at_level(logging.ERROR):
        text = rendered(message(failing()), "en")
    assert text == Text(failing().title, failing().body)
    assert caplog.records[0].__dict__["action"] == "template_failed"


def test_a_line_for_people_is_one_line() -> None:
    """Separators of all kinds become spaces; colours of a terminal go."""
    assert one_line("a\r\nb\u2028c\x1b[1;31md\x1b[0m\te", 100) == "a b cd e"
    assert one_line("x" * 10, 5) == "xxxx…"


LONG = Text("The title", "\n".join([*(f"line {n} of the message" for n in range(200)), "", "Details: https://a.example/1", "Ack: https://a.example/2"]), "<p>")  # fmt: skip


@pytest.mark.parametrize("limit", [120, 160, 280, 1_000, 4_096])
def test_fit_keeps_title_first_lines_and_links(limit: int) -> None:
    """A service with a short limit still gets what it is about and where to look."""
    made = fit(LONG, limit)
    assert len(made.title) + 1 + len(made.body) <= limit
    assert made.title == "The title" and made.html == "<p>"
    assert made.body.endswith("Details: https://a.example/1\nAck: https://a.example/2")
    assert made.body.startswith("line 0 of the message\n")
    assert "characters cut off]" in made.body


def test_fit_says_how_much_was_cut() -> None:
    """What was cut and what stays add up."""
    body = fit(LONG, 500).body
    number = int(body.split("[… ")[1].split(" ")[0].replace(",", ""))
    kept = "\n".join(line for line in body.split("\n") if "cut off" not in line)
    assert number + len(kept) + 1 == len(LONG.body)
    assert "已截去" in fit(LONG, 500, language="zh-hans").body


def test_fit_counts_as_the_service_does() -> None:
    """Some services count bytes, of which a Chinese character has three."""
    text = Text("标题", "很长的一行" * 100 + "\n链接：https://a.example/1")
    made = fit(text, 300, language="zh-hans", size=utf8)
    assert utf8(made.title) + 1 + utf8(made.body) <= 300
    assert made.body.endswith("链接：https://a.example/1")
    assert fit(text, utf8(text.title) + 1 + utf8(text.body), size=utf8) == text


@pytest.mark.parametrize("limit", range(0, 130, 3))
def test_fit_never_exceeds_its_limit_and_never_cuts_an_address(limit: int) -> None:
    """However small the limit: half an address leads nowhere, or somewhere else."""
    made = fit(LONG, limit)
    assert len(made.title) + (1 + len(made.body) if made.body else 0) <= limit
    assert all(line.endswith(("/1", "/2")) for line in made.body.split("\n") if "://" in line)
    first = fit(replace(LONG, body=f"See https://a.example/{'x' * 60}/1 for more/1\n{LONG.body}"), limit)
    assert all(line.endswith(("/1", "/2")) for line in first.body.split("\n") if "://" in line)


def test_rendering_is_quick() -> None:
    """2,000 alerts are told at little cost: a message of a group, and of a single alert."""
    begun = time_of(lambda: rendered(storm(), "en"))
    assert begun < 1.0
    assert time_of(lambda: rendered(message(failing()), "zh-hans")) < 0.1


def time_of(call: Callable[[], Any]) -> float:
    """The least processor time of three runs."""
    times = []
    for _ in range(3):
        before = time.process_time()
        call()
        times.append(time.process_time() - before)
    return min(times)


def test_messages_do_not_depend_on_the_clock() -> None:
    """The same message at the same `now` reads the same."""
    later = NOW + timedelta(hours=2)
    text = render(message(failing()), "en", None, URL, now=later)
    assert "(for 2 h)" in text.body


def documented(heading: str) -> set[str]:
    """The words in backticks of the first column, or of rows of filters the second, of a table in the docs."""
    page = (GOLDEN.parents[2] / "docs" / "notifications.md").read_text(encoding="utf-8")
    table = page.split(heading, 1)[1].split("\n\n", 1)[0]
    cells = [line.split(" | ") for line in table.splitlines() if line.startswith("| ")]
    picked = [row[1] if row[0].startswith("| filters") else row[0] for row in cells]
    return {word.split(":")[0] for cell in picked for word in re.findall(r"`([^`]+)`", cell)}


def test_the_documented_variables_and_filters_are_all_there_are() -> None:
    """Who writes a template finds everything in the docs, and nothing that does not exist."""
    data = view(sample_message("en"), "en", URL, NOW)
    assert documented("| variable | what |") == set(data)
    assert documented("| of `alert` and `others` | what |") - {"alert"} == set(data["alert"])
    assert set(data["others"][0]) < set(data["alert"])
    assert documented("| what | allowed |") == set(register.filters) | {"<br>"}
