"""Silences from alerts: what they mute and what not, their early end, and what one would mute."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone

from notifications import mutes
from notifications.core.alert import Alert, AlertLevel
from notifications.core.errors import ConfigError
from notifications.core.matchers import all_match, parse_matchers
from notifications.models import ActiveAlert, Channel, Silence
from notifications.silencing import end, matchers_of, preview, silence_alert, silence_alerts
from tests.integration.notifications.asking import FAILED, active, tell, write
from tests.integration.notifications.asking import end as over
from tests.integration.notifications.conftest import fake_channel

pytestmark = pytest.mark.django_db

HOSTILE = [
    'a"b',
    "a\\",
    'x", severity="critical',
    "a\nb=c",
    "{}",
    "a,b",
    "'q'",
    ".*",
    "a|b",
    "",
    " a ",
    "主机",
    "\\n",
]


@pytest.fixture(autouse=True)
def channel() -> Channel:
    Channel.objects.all().delete()
    return fake_channel()


def row(**labels: str) -> ActiveAlert:
    """An alert that is in no database."""
    return ActiveAlert(
        alert_key=repr(labels), labels={name: value for name, value in labels.items() if value}
    )


def muted(alert: Alert, at: object = None) -> bool:
    return mutes.read(timezone.now()).of_alert(active(alert)) is not None


def test_a_silence_from_an_alert_mutes_it_and_nothing_else() -> None:
    """Protects the neighbours: one click silences one thing, for an hour, by somebody, with a reason."""
    other = replace(FAILED, container="web-2", alert_key="container:2")
    tell(FAILED, other)
    now = timezone.now()
    silence = silence_alert(active(), "ann", "I am on it", now)
    assert silence.matchers.splitlines() == [
        'alertname="container_failed"',
        'host="alpha"',
        'project="shop"',
        'service="web"',
        'container="web-1"',
    ]
    assert (silence.ends_at - silence.starts_at, silence.created_by) == (timedelta(hours=1), "ann")
    assert muted(FAILED)
    assert not muted(other)


@pytest.mark.parametrize("name", HOSTILE)
def test_any_name_is_quoted_so_that_it_is_matched_and_no_other(name: str) -> None:
    """Protects from a container's name that widens the silence made from it, alone or with others."""
    alert = row(alertname="container_failed", host="alpha", container=name)
    for alerts in ([alert], [alert, row(alertname="container_failed", host="alpha", container="zz")]):
        matchers = parse_matchers(matchers_of(alerts))
        assert all_match(matchers, alert.labels)
        for stranger in ("a", "ab", "b", "zzz", name + "x"):
            if stranger != name:
                labels = {**alert.labels, "container": stranger}
                assert all_match(matchers, labels) is (not name and len(alerts) == 1), (matchers, labels)
        assert not all_match(matchers, {**alert.labels, "host": "beta"})


def test_several_alerts_are_muted_by_one_silence() -> None:
    """Protects from a silence for each container of a group, and from one that takes in other containers."""
    alerts = [row(alertname="a", host="alpha", project="shop", container=f"web-{n}") for n in (2, 1)]
    assert matchers_of(alerts).splitlines()[-1] == 'container=~"web-1|web-2"'
    mixed = parse_matchers(
        matchers_of([row(alertname="a", host="alpha", container="web"), row(alertname="a", host="alpha")])
    )
    assert all_match(mixed, {"alertname": "a", "host": "alpha"})
    assert not all_match(mixed, {"alertname": "a", "host": "alpha", "container": "db"})


def test_more_names_than_fit_are_left_to_what_they_have_in_common() -> None:
    """Protects a storm's silence, which takes the whole host; and from one that would take alerts of anywhere."""
    storm = [row(alertname="a", host="alpha", container=f"container-{n}") for n in range(300)]
    assert matchers_of(storm).splitlines() == ['alertname="a"', 'host="alpha"']
    everywhere = [row(alertname="a", host=f"host-number-{n}") for n in range(300)]
    with pytest.raises(ConfigError, match="too little in common"):
        matchers_of(everywhere)
    with pytest.raises(ConfigError, match="too little in common"):
        matchers_of([row()])


def test_a_silence_without_labels_is_refused() -> None:
    """Protects from muting everything by the silence of an alert that has no labels."""
    with pytest.raises(ConfigError):
        silence_alert(row(), "ann", "x", timezone.now())
    with pytest.raises(ValidationError):
        silence_alerts([row(host="alpha")], "ann", "x", timezone.now(), timedelta(0))
    assert not Silence.objects.exists()


def test_a_silence_is_ended_early_and_stays_on_record() -> None:
    """Protects who is wanted again before the hour is over; the second end changes nothing."""
    tell(FAILED)
    now = timezone.now()
    silence = silence_alert(active(), "ann", "x", now - timedelta(minutes=1))
    assert muted(FAILED)
    assert end(silence, now) is True
    assert not muted(FAILED)
    assert end(silence, now + timedelta(minutes=1)) is False
    assert Silence.objects.get().ends_at == silence.ends_at == now
    planned = silence_alert(active(), "ann", "x", now + timedelta(hours=3))
    assert end(planned, now) is True
    planned.refresh_from_db()
    assert (planned.starts_at, planned.ends_at) == (now, now)


def test_the_preview_shows_what_would_be_muted_now() -> None:
    """Protects from a matcher that takes in more, or less, than was meant."""
    other = replace(FAILED, container="web-2", alert_key="container:2", level=AlertLevel.ERROR)
    gone = replace(FAILED, container="web-3", alert_key="container:3")
    event = Alert(AlertLevel.INFO, "seen", host="alpha", is_event=True, alertname="dry_run")
    tell(FAILED, other, gone)
    write(over(gone))
    write(event)
    now = timezone.now()
    assert {alert.alert_key for alert in preview('service="web"', now)} == {"container:1", "container:2"}
    assert [alert.alert_key for alert in preview("severity=error", now)] == ["container:2"]
    assert len(preview('host=~"al.*"', now)) == 3
    assert preview("host=beta", now) == []
    for wrong in ("", 'host=""', 'host=~".*"', "host", 'host=~"("'):
        with pytest.raises(ConfigError) as caught:
            preview(wrong, now)
        assert caught.value.field == "matchers"
