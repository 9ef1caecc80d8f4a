"""Channels in the admin: what is left to superusers, programs and the way to private networks, is left by every way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.contrib.messages import get_messages
from django.test import Client

from notifications.models import Channel
from tests.contract.channels.receiver import Receiver, receiving
from tests.integration.notifications.admin.rows import SUBMITTED, page, press, staff, text_of

pytestmark = pytest.mark.django_db

FIELDS = {
    "name": "hook", "enabled": "on", "min_level": "info", "tell": "all", "send_resolved": "on", "digest": "none",
    "language": "en", "rate_limit": "30", "rate_window": "60", "setting_tls_verify": "on",
}  # fmt: skip
ELSEWHERE = {"setting_url": "http://127.0.0.1:9/"}
REFUSED = "only superusers may change where it sends to"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as started:
        yield started


@pytest.fixture
def changer(db: None) -> Client:
    """Somebody who may change channels, and is no superuser."""
    return staff("view_channel", "change_channel")


def webhook(url: str = "http://127.0.0.1:8/") -> Channel:
    return Channel.objects.create(
        name="hook", kind="webhook", config={"url": url, "tls_verify": True}, allow_private=True
    )


def program(folder: Path) -> Channel:
    return Channel.objects.create(
        name="program", kind="command", config={"command": ["/usr/bin/touch", str(folder / "ran")]}
    )


def switched() -> dict[str, bool]:
    return dict(Channel.objects.exclude(kind="log").values_list("kind", "enabled"))


def choose(client: Client, action: str, *channels: Channel) -> list[str]:
    """Run a bulk action; returns the messages shown."""
    chosen = {"action": action, "_selected_action": [channel.pk for channel in channels]}
    response = client.post(page("channel_changelist"), chosen)
    return [str(message) for message in get_messages(response.wsgi_request)]


def test_an_open_way_to_private_networks_is_turned_elsewhere_by_superusers_only(
    changer: Client, admin_client: Client
) -> None:
    """Whoever may change channels, and reads their answers, does not choose what is called within the network."""
    channel = webhook()
    url = page("channel_change", channel.pk)
    assert REFUSED in text_of(changer.post(url, {**FIELDS, **ELSEWHERE}))
    channel.refresh_from_db()
    assert channel.config["url"] == "http://127.0.0.1:8/"
    assert changer.post(url, {**FIELDS, "name": "new"}).status_code == 302
    saved = admin_client.post(url, {**FIELDS, **ELSEWHERE, "allow_private": "on"})
    assert saved.status_code == 302
    channel.refresh_from_db()
    assert channel.config["url"] == ELSEWHERE["setting_url"]


def test_where_only_public_addresses_are_called_it_may_be_changed(changer: Client) -> None:
    """What is refused there is refused when it is called, so that people can correct an address."""
    channel = webhook()
    Channel.objects.update(allow_private=False)
    assert changer.post(page("channel_change", channel.pk), {**FIELDS, **ELSEWHERE}).status_code == 302


@pytest.mark.parametrize(
    ("kind", "config", "typed"),
    [
        ("apprise", {"url": ["json://127.0.0.1:8"]}, {"setting_url": "json://127.0.0.1:9"}),
        ("alertmanager", {"urls": ["http://127.0.0.1:8"]}, {"setting_urls": "http://127.0.0.1:9"}),
        ("syslog", {"address": "tcp://127.0.0.1:8"}, {"setting_address": "tcp://127.0.0.1:9"}),
    ],
)
def test_every_kind_says_where_it_sends_to(
    changer: Client, kind: str, config: dict[str, object], typed: dict[str, str]
) -> None:
    """Protects the rule from kinds whose address is a list, or has a name of its own."""
    channel = Channel.objects.create(name="hook", kind=kind, config=config, allow_private=True)
    assert REFUSED in text_of(changer.post(page("channel_change", channel.pk), {**FIELDS, **typed}))


def test_a_test_of_another_address_calls_no_private_one(
    changer: Client, admin_client: Client, receiver: Receiver
) -> None:
    """The button in the form follows the same rule: only the stored address may be a private one."""
    channel = webhook(f"{receiver.url}/own")
    url = f"{page('channel_test')}?channel={channel.pk}"
    elsewhere = {"setting_url": f"{receiver.url}/other", "allow_private": "on", "setting_tls_verify": "on"}
    assert "may not call private addresses" in text_of(changer.post(url, elsewhere))
    assert receiver.requests == []
    assert "Sent." in text_of(changer.post(url, {"setting_tls_verify": "on"}))
    assert "Sent." in text_of(admin_client.post(url, elsewhere))
    assert len(receiver.requests) == 2


def test_only_superusers_run_a_program(changer: Client, admin_client: Client, tmp_path: Path) -> None:
    """The button of a list or a page runs no program for somebody who may only change other channels."""
    channel = program(tmp_path)
    url = page("channel_send_test_this", channel.pk)
    assert changer.post(url, SUBMITTED).status_code == 403
    assert not (tmp_path / "ran").exists()
    assert "sent" in press(admin_client, "send_test_this", channel)[-1]
    assert (tmp_path / "ran").exists()


@pytest.mark.parametrize(("action", "before"), [("enable_selected", False), ("disable_selected", True)])
def test_only_superusers_switch_a_program(
    changer: Client, admin_client: Client, tmp_path: Path, action: str, before: bool
) -> None:
    """A bulk action leaves programs as they are, says so, and does what it may with the others."""
    rows = program(tmp_path), webhook()
    Channel.objects.update(enabled=before)
    word = "Disabled" if before else "Enabled"
    assert choose(changer, action, *rows) == [
        "Left 1 channels as they are: only superusers may change those.",
        f"{word} 1 channels.",
    ]
    assert switched() == {"command": before, "webhook": not before}
    assert choose(admin_client, action, *rows) == [f"{word} 1 channels."]
    assert switched() == {"command": not before, "webhook": not before}
