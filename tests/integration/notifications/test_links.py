"""Links out of messages: who follows one acts once, by POST, and whatever else arrives does nothing."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from string import Formatter
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core import signing
from django.test import Client
from django.urls import reverse
from django.utils import timezone, translation

from healing.models import Host
from healing.pipeline import breaker_alerts
from notifications import approvals, links, messaging
from notifications.acknowledging import acknowledge
from notifications.core.alert import Alert, AlertLevel
from notifications.links import Action
from notifications.models import Channel, GroupMessage, Silence, UsedLink
from notifications.page_words import CHINESE_WORDS, ENGLISH
from selfheal_project.logs import JsonFormatter, TextFormatter
from tests.integration.asking.rows import make_container, make_failure
from tests.integration.notifications.asking import FAILED, Browser, active, end, links_of, tell, write
from tests.integration.notifications.conftest import fake_channel

pytestmark = pytest.mark.django_db

CRITICAL = replace(FAILED, level=AlertLevel.CRITICAL)


@pytest.fixture(autouse=True)
def asked_in_english(settings: Any) -> Iterator[None]:
    """A channel and an address for links; a page's language does not outlive its test."""
    settings.SELFHEAL_URL = "https://heal.example.org"
    Channel.objects.all().delete()
    fake_channel()
    with translation.override("en"):
        yield


@pytest.fixture
def answers() -> Iterator[list[tuple[str, str, bool]]]:
    """What is decided about things whose name begins with `test:`; those of `test:no…` are refused."""
    taken: list[tuple[str, str, bool]] = []

    def take(what: str, by: str, approved: bool, now: datetime) -> str:
        if what.startswith("test:no"):
            raise approvals.Refused("It has closed since.")
        taken.append((what, by, approved))
        return f"{what} goes on."

    approvals.register("test", take)
    yield taken
    del approvals._handlers["test"]


def asking(what: str) -> Alert:
    return replace(FAILED, details={**FAILED.details, "approval": what})


def test_a_message_carries_the_same_links_at_every_repeat() -> None:
    """Protects from a second working link for each retry of a channel."""
    message = tell(FAILED)
    found = links_of(message)
    assert list(found) == ["ack", "silence", "open"]
    assert found["open"] == "https://heal.example.org/admin/healing/failurerecord/7/change/"
    assert all(
        url.startswith("https://heal.example.org" + reverse("notifications:link"))
        for url in found.values()
        if "?t=" in url
    )
    assert found == links_of(message)
    assert found["ack"].isascii() and found["ack"][-1].isdigit() and len(found["ack"]) < 200


def test_links_are_only_where_they_lead_somewhere(settings: Any) -> None:
    """Protects from links that ask for what cannot be done, or lead nowhere."""
    ended = tell(FAILED)
    write(end(FAILED))
    row = GroupMessage(pk=ended.pk, created_at=ended.created_at)
    resolved = replace(messaging.told_of(ended)[0], alert=replace(end(FAILED), details=FAILED.details))
    assert [link.action for link in links.of_message(row, [resolved])] == ["open"]
    event = replace(resolved, alert=replace(FAILED, is_event=True, details={"path": "javascript:alert(1) "}))
    assert [link.action for link in links.of_message(row, [event])] == ["silence"]
    question = replace(resolved, alert=asking("test:1"))
    assert [link.action for link in links.of_message(row, [question])] == [
        "approve",
        "reject",
        "ack",
        "silence",
        "open",
    ]
    settings.SELFHEAL_URL = ""
    assert links.of_message(row, [question]) == ()


def test_looking_does_nothing_and_pressing_does_it() -> None:
    """Protects from mail scanners that follow links, and from the person who is not heard."""
    browser = Browser(links_of(tell(FAILED))["ack"])
    page = browser.look()
    assert browser.status == 200
    assert "Acknowledge?" in page and "web-1 failed" in page and "shop / web / web-1 @ alpha" in page
    assert browser.client.head(browser.path, browser.query).status_code == 200
    assert browser.client.put(browser.path, browser.query).status_code in (403, 405)
    assert active().acknowledged_at is None and not UsedLink.objects.exists()
    assert "Acknowledged for 1 alert(s) by Ann (by link)." in browser.press(who=" Ann ")
    assert active().acknowledged_by == "Ann (by link)"
    assert UsedLink.objects.get().used_by == "Ann (by link)"


def test_the_page_runs_nothing_and_tells_nobody() -> None:
    """Protects the link: no cache, no index, no other site, no script learns of it; and browsers still send the form."""
    browser = Browser(links_of(tell(replace(FAILED, title="<script>alert(1)</script>")))["ack"])
    browser.look()
    assert "<script" not in browser.page and "&lt;script" in browser.page
    assert browser.headers["Cache-Control"] == "no-store"
    assert browser.headers["X-Robots-Tag"] == "noindex, nofollow"
    assert browser.headers["Referrer-Policy"] == "same-origin"
    policy = browser.headers["Content-Security-Policy"]
    assert (
        "default-src 'none'" in policy and "script-src" not in policy and "frame-ancestors 'none'" in policy
    )
    assert browser.headers["X-Frame-Options"] == "DENY"


def test_a_form_of_another_site_does_nothing() -> None:
    """Protects from a page that has its visitor's browser press the button."""
    url = links_of(tell(FAILED))["ack"]
    browser = Browser(url)
    browser.look()
    stranger = Client(enforce_csrf_checks=True)
    assert stranger.post(browser.path, browser.hidden).status_code == 403
    foreign = browser.client.post(browser.path, browser.hidden, headers={"origin": "https://evil.example"})
    assert foreign.status_code == 403
    assert active().acknowledged_at is None
    own = browser.client.post(browser.path, browser.hidden, headers={"origin": "http://testserver"})
    assert own.status_code == 200


def test_a_link_works_once_and_says_who_was_first() -> None:
    """Protects from doing it twice, at the second press, in a second window, or by a repeat of the message."""
    message = tell(FAILED)
    first, second = Browser(links_of(message)["silence"]), Browser(links_of(message)["silence"])
    first.look()
    second.look()
    assert "Silenced until" in first.press(who="Ann")
    assert "Ann (by link) used it at" in second.press(who="Bob")
    assert second.status == 410
    assert "Ann (by link) used it at" in first.look()
    assert Silence.objects.count() == UsedLink.objects.count() == 1


def test_the_silence_of_a_message_is_for_an_hour_and_shown_before() -> None:
    """Protects from muting more than the page has said."""
    other = replace(FAILED, container="web-2", alert_key="container:2")
    beside = replace(FAILED, container="web-3", alert_key="container:3")
    browser = Browser(links_of(tell(FAILED, other))["silence"])
    write(beside)
    page = browser.look()
    assert 'container=~"web-1|web-2"' in page
    assert "This also mutes" not in page
    browser.press()
    silence = Silence.objects.get()
    assert silence.ends_at - silence.starts_at == timedelta(hours=1)
    assert silence.created_by == "Somebody (by link)"
    assert "web-1 failed" in silence.comment or "web-2" in silence.comment


def hostile() -> list[str]:
    row = GroupMessage(created_at=timezone.now())
    good = links.token_of(row, Action.ACK)
    signature, _, value = good.partition(".")
    other = signing.Signer(sep=".", salt="something.else").signature(value)
    stranger = signing.Signer(key="another key", sep=".", salt="notifications.links").signature(value)
    return [
        "", ".", "....", "x", "\0", "é" * 20, "a" * 100_000, "%00", "../../etc/passwd", "<script>alert(1)</script>",
        good[1:], good[:-1], good + "0", good + "=", " " + good, good.upper(), value, f".{value}", f"{signature}.",
        good.replace("ack", "silence"), good.replace(row.pk.hex, "0" * 32), f"{other}.{value}", f"{stranger}.{value}",
        f"{signature}.{value}.{value}", good[:-1] + "٣",
    ]  # fmt: skip


def test_hostile_tokens_do_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """Protects from links that nobody of us has made: all are told the same, and nothing is stored."""
    browser = Browser(links_of(tell(FAILED))["ack"])
    browser.look()
    genuine = browser.hidden
    for token in hostile():
        for answer in (
            browser.client.get(browser.path, {"t": token}),
            browser.client.post(browser.path, {**genuine, "t": token}),
        ):
            assert answer.status_code == 404, token[:100]
            assert "This link is not valid" in answer.content.decode()
            assert "<script" not in answer.content.decode()
    assert browser.client.get(browser.path).status_code == 404
    assert active().acknowledged_at is None and not UsedLink.objects.exists()


@pytest.mark.parametrize(
    "value",
    ["explode.{id}.{at}", "ack.{id}", "ack.x.{at}", "ack.{id}.x", f"ack.{{id}}.{9 * 10**30}", "ack.{id}.-1"],
)
def test_genuine_signatures_of_other_versions_are_refused(value: str) -> None:
    """Protects from what another version has signed and this one does not know."""
    message = tell(FAILED)
    text = value.format(id=message.pk.hex, at=int(message.created_at.timestamp()))
    signer = signing.Signer(sep=".", salt="notifications.links")
    answer = Client().get("/alerts/", {"t": f"{signer.signature(text)}.{text}"})
    assert answer.status_code in (404, 410)
    expected = "not known here" if "explode" in value else "has expired" if "-1" in value else "not valid"
    assert expected in answer.content.decode()


def test_a_link_expires_after_a_day() -> None:
    """Protects from mail boxes that are read by others later."""
    old = tell(FAILED, at=timezone.now() - timedelta(hours=24, minutes=1))
    browser = Browser(links_of(old)["ack"])
    assert "This link has expired" in browser.look()
    assert browser.status == 410
    young = tell(
        replace(FAILED, host="beta", alert_key="container:9"), at=timezone.now() - timedelta(hours=23)
    )
    assert "Acknowledge?" in Browser(links_of(young)["ack"]).look()


def test_links_outlive_a_change_of_the_secret_key(settings: Any) -> None:
    """Protects the links in messages of an hour ago from a rotation of the key, and retires them with the old key."""
    settings.SECRET_KEY = "the former key, which was long enough"
    browser = Browser(links_of(tell(FAILED))["ack"])
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = (
        "a new key",
        ["the former key, which was long enough"],
    )
    assert "Acknowledge?" in browser.look()
    settings.SECRET_KEY_FALLBACKS = []
    assert "not valid" in browser.look()


def test_what_is_over_is_said_to_be_over() -> None:
    """Protects from taking on what has ended, and from doing by an old message what was asked of a new one."""
    browser = Browser(links_of(tell(FAILED))["ack"])
    browser.look()
    write(end(FAILED))
    assert "This is over already" in browser.press()
    write(FAILED)
    assert "This is over already" in browser.look()
    assert active().acknowledged_at is None and not UsedLink.objects.exists()


def test_what_has_changed_since_the_look_is_looked_at_again() -> None:
    """Protects from acknowledging as a warning what has become critical while the page was open."""
    browser = Browser(links_of(tell(FAILED))["ack"])
    browser.look()
    write(CRITICAL)
    assert "It has changed meanwhile" in browser.press()
    assert browser.status == 409
    assert active().acknowledged_at is None and not UsedLink.objects.exists()
    browser.look()
    assert "Acknowledged for 1" in browser.press()


def test_what_somebody_has_taken_on_is_said() -> None:
    """Protects from two who work on the same, when the first was faster in the admin."""
    browser = Browser(links_of(tell(FAILED))["ack"])
    acknowledge([active()], "root", timezone.now())
    assert "root acknowledged it at" in browser.look()
    assert "<form" not in browser.page


def test_a_question_is_answered_once(answers: list[tuple[str, str, bool]]) -> None:
    """Protects from an approval and a rejection by two readers of one message."""
    found = links_of(tell(asking("test:1")))
    approve, reject = Browser(found["approve"]), Browser(found["reject"])
    approve.look()
    reject.look()
    assert "test:1 goes on." in approve.press(who="Ann")
    assert "Ann (by link) used it at" in reject.press()
    assert answers == [("test:1", "Ann (by link)", True)]


def test_a_rejection_is_handed_on(answers: list[tuple[str, str, bool]]) -> None:
    """Protects the no, which must not arrive as a yes."""
    browser = Browser(links_of(tell(asking("test:1")))["reject"])
    browser.look()
    browser.press()
    assert answers == [("test:1", "Somebody (by link)", False)]


def test_a_refused_answer_leaves_the_link_unused(answers: list[tuple[str, str, bool]]) -> None:
    """Protects the second try: effect and use are committed together or not at all."""
    for what, sentence in (
        ("test:no", "It has closed since."),
        ("unheard:1", "Nothing here takes approvals"),
    ):
        alert = replace(asking(what), host=what, alert_key=what)
        browser = Browser(links_of(tell(alert))["approve"])
        browser.look()
        assert sentence in browser.press()
        assert browser.status == 409
    assert not UsedLink.objects.exists() and answers == []


def test_a_breaker_is_approved_out_of_its_message() -> None:
    """Protects the person at 3 a.m.: one link lets healing go on, and the next opening is asked about anew."""
    failure = make_failure(make_container(), took=None)
    host = Host.objects.get()
    now = timezone.now()
    fields = {"breaker_mode": "approval", "breaker_incident": failure}
    Host.objects.update(breaker_since=now - timedelta(minutes=10), **fields)
    host.refresh_from_db()
    breaker = replace(
        FAILED, alertname="breaker_open", alert_key=f"breaker:host:{host.pk}",
        details={"approval": breaker_alerts.approval_of(host)},
    )  # fmt: skip
    found = links_of(tell(breaker))
    Host.objects.update(breaker_since=now)
    old = Browser(found["approve"])
    old.look()
    assert "has closed since" in old.press()
    Host.objects.update(breaker_since=now - timedelta(minutes=10))
    browser = Browser(found["approve"], "zh-CN")
    browser.look()
    assert "主机 h1 的自愈将继续" in browser.press()
    host.refresh_from_db()
    assert host.approved_until is not None and host.approved_until > now + timedelta(minutes=59)


def test_a_rejected_breaker_goes_on_holding() -> None:
    """Protects from an approval that somebody has taken back by the rejection."""
    make_failure(make_container(), took=None)
    now = timezone.now()
    Host.objects.update(breaker_mode="approval", breaker_since=now, approved_until=now + timedelta(hours=1))
    host = Host.objects.get()
    sentence = approvals.decide(breaker_alerts.approval_of(host), "ann", False, now)
    assert sentence.startswith("Nothing is healed on host h1 until")
    host.refresh_from_db()
    assert host.approved_until is None
    for what in (
        "breaker:host:x:1",
        "breaker:host:99999999999999999999999:1",
        "breaker:fleet:1",
        "breaker:",
        "breaker:host:1",
    ):
        with pytest.raises(approvals.Refused):
            approvals.decide(what, "ann", True, now)


@pytest.mark.parametrize(
    ("accepted", "asked", "expected"),
    [
        ("zh-CN,zh;q=0.9", "", "确认此告警？"),
        ("de", "", "Acknowledge?"),
        ("en", "zh", "确认此告警？"),
        ("zh-CN", "en", "Acknowledge?"),
    ],
)
def test_the_page_speaks_the_readers_language(accepted: str, asked: str, expected: str) -> None:
    """Protects who reads no English; the choice on the page wins, and holds for what follows."""
    browser = Browser(links_of(tell(FAILED))["ack"], accepted)
    if asked:
        browser.query["lang"] = asked
    assert expected in browser.look()
    done = browser.press()
    assert ("已确认" if "确认" in expected else "Acknowledged") in done


def test_both_languages_say_the_same() -> None:
    """Protects from a page that breaks in one language only."""
    assert set(ENGLISH) == set(CHINESE_WORDS)
    for name, sentence in ENGLISH.items():
        filled = [
            {field for _, field, _, _ in Formatter().parse(text) if field}
            for text in (sentence, CHINESE_WORDS[name])
        ]
        assert filled[0] == filled[1], name


def test_a_name_is_taken_as_text_and_a_login_as_the_name(admin_client: Client) -> None:
    """Protects the record from names that are no names, and from a name that somebody else has."""
    message = tell(FAILED)
    browser = Browser(links_of(message)["ack"])
    browser.look()
    browser.press(who="\0<b>Eve</b>\nroot\u202e" + "x" * 500)
    assert "<b>" not in browser.page
    by = active().acknowledged_by
    assert by.startswith("<b>Eve</b> root") and by.endswith("(by link)") and "\0" not in by and len(by) <= 150
    silence = Browser(links_of(message)["silence"])
    silence.client.force_login(get_user_model().objects.get(username="admin"))
    silence.look()
    silence.press(who="Eve")
    assert Silence.objects.get().created_by == "admin"


def test_no_log_record_holds_a_link(
    caplog: pytest.LogCaptureFixture, answers: list[tuple[str, str, bool]]
) -> None:
    """Protects the right that a link is: logs say which message and what, never the link."""
    caplog.set_level(logging.DEBUG)
    message = tell(asking("test:1"))
    tokens = []
    for url in list(links_of(message).values())[:4]:
        browser = Browser(url)
        tokens.append(browser.query["t"])
        browser.look()
        browser.client.post(browser.path, {"t": browser.query["t"]})
        if "<form" in browser.page:
            browser.press()
        browser.look()
    actions = [record.__dict__.get("action") for record in caplog.records]
    assert actions.count("link_used") == 3 and "link_refused" in actions
    ours = [
        record for record in caplog.records if record.__dict__.get("action") in ("link_used", "link_refused")
    ]
    assert {record.__dict__["message_id"] for record in ours} == {str(message.pk)}
    written = "".join(
        form.format(record) for record in caplog.records for form in (TextFormatter(), JsonFormatter())
    )
    assert not [token for token in tokens if token in written]


def test_a_prefix_has_one_handler(answers: list[tuple[str, str, bool]]) -> None:
    """Protects from an answer that goes to the wrong part."""
    with pytest.raises(ValueError, match="another prefix"):
        approvals.register("test", lambda what, by, approved, now: "")
