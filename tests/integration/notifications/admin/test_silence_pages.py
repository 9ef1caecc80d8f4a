"""Silences in the admin: made in a click, previewed, ended early, kept on record."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from notifications.models import Notification, Silence
from tests.integration.notifications.admin.rows import make_alert, page, press, staff, text_of

pytestmark = pytest.mark.django_db


def written(**changes: str) -> dict[str, str]:
    now = timezone.now()
    fields = {
        "matchers": 'container="web-1"', "starts_at_0": f"{now:%Y-%m-%d}", "starts_at_1": f"{now:%H:%M:%S}",
        "lasts": "2h", "comment": "moving it",
    }  # fmt: skip
    return {**fields, **changes}


def make(begins: timedelta, lasts: timedelta) -> Silence:
    now = timezone.now()
    return Silence.objects.create(
        matchers='container="web-1"',
        starts_at=now + begins,
        ends_at=now + begins + lasts,
        created_by="ann",
        comment="x",
    )


def errors_of(response: Any) -> dict[str, list[str]]:
    assert response.status_code == 200
    return dict(response.context["adminform"].form.errors)


def test_a_silence_knows_who_made_it_and_how_long_it_lasts(admin_client: Client) -> None:
    """Its author is who is signed in, whatever the form says, and its end is counted from its begin."""
    response = admin_client.post(page("silence_add"), written(created_by="somebody else"))
    assert response.status_code == 302, errors_of(response)
    silence = Silence.objects.get()
    assert silence.created_by == "admin"
    assert silence.ends_at - silence.starts_at == timedelta(hours=2)


@pytest.mark.parametrize(
    ("field", "value"),
    [("matchers", ""), ("matchers", 'container=~".*"'), ("matchers", "?"), ("lasts", ""), ("lasts", "long"), ("comment", "")],
)  # fmt: skip
def test_what_cannot_be_used_is_told_at_its_field(admin_client: Client, field: str, value: str) -> None:
    """A silence that would mute everything, or never end, is not made."""
    assert list(errors_of(admin_client.post(page("silence_add"), written(**{field: value})))) == [field]
    assert not Silence.objects.exists()


def test_the_preview_names_what_would_be_muted(admin_client: Client) -> None:
    """Before it is saved a person sees what it would mute now, or what is wrong with it."""
    make_alert("web-1")
    make_alert("db-1")
    url = page("silence_preview")
    shown = text_of(admin_client.post(url, {"matchers": 'container="web-1"'}))
    assert "It would mute 1 of what fires now." in shown and "web-1 fails" in shown and "db-1" not in shown
    assert text_of(admin_client.post(url, {"matchers": 'container="x"'})) == "Nothing that fires now."
    assert "mute everything" in text_of(admin_client.post(url, {"matchers": ""}))
    assert "line 1" in text_of(admin_client.post(url, {"matchers": "?"}))
    assert admin_client.get(url).status_code == 405
    assert not Silence.objects.exists()
    assert staff("view_silence").post(url, {"matchers": 'container="web-1"'}).status_code == 403


def test_a_click_on_an_alert_opens_the_form_filled_in(admin_client: Client) -> None:
    """From what fires, and from a notification of what is over, the matchers are there already."""
    alert = make_alert("web-1")
    gone = Notification.objects.create(
        level="error", title="x", alert_key="gone", alertname="host_down", host="node-9"
    )
    for url, expected in (
        (page("activealert_silence_this", alert.pk), 'container="web-1"'),
        (page("notification_silence_this", alert.notification_id), 'container="web-1"'),
        (page("notification_silence_this", gone.pk), 'host="node-9"'),
    ):
        response = admin_client.get(admin_client.get(url).headers["Location"])
        assert expected in response.context["adminform"].form["matchers"].value()
    empty = Notification.objects.create(level="error", title="x", is_event=True)
    assert (
        "silence/add" not in admin_client.get(page("notification_silence_this", empty.pk)).headers["Location"]
    )


def test_a_silence_is_ended_and_stays(admin_client: Client) -> None:
    """What mutes no longer is still on record, and cannot be deleted."""
    silence = make(timedelta(hours=-1), timedelta(hours=2))
    assert press(admin_client, "end_this", silence) == ["Ended 1 silences; 0 were over."]
    silence.refresh_from_db()
    assert silence.ends_at <= timezone.now()
    assert press(admin_client, "end_this", silence)[-1] == "Ended 0 silences; 1 were over."
    assert admin_client.post(page("silence_delete", silence.pk), {"post": "yes"}).status_code == 403


def test_one_that_is_over_is_copied_not_changed(admin_client: Client) -> None:
    """What was muted is not rewritten afterwards; a copy lasts as long as the first did."""
    over = make(timedelta(hours=-3), timedelta(hours=2))
    url = page("silence_change", over.pk)
    assert admin_client.get(url).status_code == 200
    assert admin_client.post(url, {**written(), "comment": "rewritten"}).status_code == 403
    copy = admin_client.get(admin_client.get(page("silence_copy_this", over.pk)).headers["Location"])
    form = copy.context["adminform"].form
    assert (form["matchers"].value(), form["lasts"].value()) == (over.matchers, "2h")


def test_the_list_is_filtered_by_state(admin_client: Client) -> None:
    """What mutes now, what will, and what did."""
    active, pending, over = (
        make(timedelta(hours=begins), timedelta(hours=1, minutes=30)) for begins in (-1, 1, -3)
    )
    for state, silence in (("active", active), ("pending", pending), ("expired", over)):
        response = admin_client.get(page("silence_changelist"), {"state": state})
        assert list(response.context["cl"].result_list) == [silence]
