"""What people with few rights, or with hostile words, get out of alerting: nothing."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.core import serializers
from django.core.management import call_command
from django.db import connection
from django.test import Client

from healing.models import Host
from notifications.channels import stores
from notifications.channels.guard import RefusedAddress
from notifications.core.errors import ConfigError
from notifications.messages import check_template
from notifications.models import Channel
from tests.contract.channels.receiver import Receiver, receiving
from tests.contract.channels.samples import MESSAGE
from tests.integration.notifications.admin.rows import page, staff, text_of

pytestmark = pytest.mark.django_db

SERVER = "https://ntfy.example.org"
SECRET = "s3cr3t-0123456789"
COMMON = {
    "name": "hook", "enabled": "on", "min_level": "info", "tell": "all", "send_resolved": "on", "digest": "none",
    "language": "en", "rate_limit": "30", "rate_window": "60", "allow_private": "on",
}  # fmt: skip
ADDED = ("add_channel", "change_channel", "view_channel")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as started:
        yield started


def channel_of(kind: str, **config: Any) -> Channel:
    return Channel.objects.create(name="hook", kind=kind, config=config, allow_private=True)


def errors_of(response: Any) -> list[str]:
    assert response.status_code == 200, response.status_code
    return list(response.context["adminform"].form.errors)


def test_a_dump_of_the_database_holds_no_secret_and_can_be_loaded(settings: Any) -> None:
    """Protects backups by `dumpdata`: settings stay encrypted in them, and come back, also under a new key with the old one
    as a fallback."""
    channel_of("webhook", url=f"https://example.org/{SECRET}")
    dump = io.StringIO()
    call_command("dumpdata", "notifications.channel", stdout=dump)
    assert SECRET not in dump.getvalue() and "example.org" not in dump.getvalue()
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "n" * 60, [settings.SECRET_KEY]
    (row,) = [one for one in json.loads(dump.getvalue()) if one["fields"]["name"] == "hook"]
    Channel.objects.all().delete()
    (loaded,) = serializers.deserialize("json", json.dumps([row]))
    loaded.save()
    assert Channel.objects.get(name="hook").config == {"url": f"https://example.org/{SECRET}"}


def test_what_cannot_be_decrypted_is_dumped_as_it_stands() -> None:
    """Protects settings from being lost by a backup that is made while the key is missing."""
    row = channel_of("webhook", url="https://example.org/")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE notifications_channel SET config = 'gAAAAAforeign' WHERE id = %s", [row.pk])
    dump = io.StringIO()
    call_command("dumpdata", "notifications.channel", stdout=dump)
    assert "gAAAAAforeign" in dump.getvalue()


@pytest.mark.parametrize(
    ("kind", "config", "moved", "asked"),
    [
        (
            "email",
            {"host": "smtp.example.org", "user": "u", "password": SECRET, "from_address": "a@b.example", "to": ["a@b.example"]},
            {"setting_host": "127.0.0.1", "setting_port": "{port}", "setting_mode": "none", "setting_user": "u",
             "setting_from_address": "a@b.example", "setting_to": "a@b.example"},
            ["setting_password"],
        ),
        (
            "ntfy",
            {"server": "https://ntfy.example.org", "topic": SECRET, "token": SECRET},
            {"setting_server": "{url}"},
            ["setting_topic", "setting_token"],
        ),
        (
            "webhook",
            {"url": "https://example.org/", "headers": {"Authorization": SECRET}},
            {"setting_url": "{url}"},
            ["setting_headers"],
        ),
        (
            "alertmanager",
            {"urls": ["https://example.org/"], "token": SECRET},
            {"setting_urls": "{url}"},
            ["setting_token"],
        ),
    ],
)  # fmt: skip
def test_stored_secrets_are_not_sent_to_another_address(
    kind: str, config: dict[str, Any], moved: dict[str, str], asked: list[str], receiver: Receiver
) -> None:
    """Protects secrets from who may change a channel but not read them: neither saving nor a test sends them elsewhere."""
    channel = channel_of(kind, **config)
    Channel.objects.filter(pk=channel.pk).update(
        allow_private=False
    )  # with it only superusers may move it at all
    typed = {name: text.format(url=receiver.url, port=receiver.port) for name, text in moved.items()}
    changer = staff("change_channel", "view_channel")
    assert errors_of(changer.post(page("channel_change", channel.pk), {**COMMON, **typed})) == asked
    answer = text_of(changer.post(f"{page('channel_test')}?channel={channel.pk}", {**COMMON, **typed}))
    assert "Enter it again" in answer
    assert receiver.received == []
    channel.refresh_from_db()
    assert channel.config == config


def test_a_channel_that_stays_where_it_is_keeps_its_secrets() -> None:
    """Protects the plain way: other settings change without the secrets, and with them the address may change too."""
    channel = channel_of("ntfy", server=SERVER, topic="t0pic-0123", token=SECRET)
    Channel.objects.filter(pk=channel.pk).update(allow_private=False)
    changer = staff("change_channel", "view_channel")
    url = page("channel_change", channel.pk)
    same = {**COMMON, "setting_server": SERVER, "min_level": "error"}
    assert changer.post(url, same).status_code == 302
    typed = {
        **same,
        "setting_server": f"{SERVER}/new",
        "setting_topic": "new",
        "setting_token": "tk_new",
    }
    assert changer.post(url, typed).status_code == 302
    channel.refresh_from_db()
    assert channel.config == {"server": f"{SERVER}/new", "topic": "new", "token": "tk_new"}


def test_programs_are_set_up_by_superusers_only() -> None:
    """Protects the worker's machine: who may write channels may not by that run programs beside the secret key."""
    somebody = staff(*ADDED)
    config = {**COMMON, "setting_command": "/usr/bin/id"}
    assert "kind=command" not in somebody.get(page("channel_add")).content.decode()
    somebody.post(f"{page('channel_add')}?kind=command", config)
    assert somebody.post(f"{page('channel_test')}?kind=command", config).status_code == 404
    assert not Channel.objects.filter(kind="command").exists()
    channel = channel_of("command", command=["/bin/true"])
    assert somebody.get(page("channel_change", channel.pk)).status_code == 200
    assert somebody.post(page("channel_change", channel.pk), config).status_code == 403
    assert somebody.post(f"{page('channel_test')}?channel={channel.pk}", config).status_code == 403
    channel.refresh_from_db()
    assert channel.config == {"command": ["/bin/true"]}


def test_the_way_to_private_networks_is_opened_by_superusers_only(
    admin_client: Client, receiver: Receiver
) -> None:
    """Protects what only this machine can reach, whose answers a test shows, from who may write channels."""
    somebody = staff(*ADDED)
    typed = {**COMMON, "setting_url": receiver.url, "setting_tls_verify": "on"}
    said = text_of(somebody.post(f"{page('channel_test')}?kind=webhook", typed))
    assert "may not call private addresses" in said
    assert somebody.post(f"{page('channel_add')}?kind=webhook", typed).status_code == 302
    channel = Channel.objects.get(name="hook")
    assert channel.allow_private is False
    said = text_of(somebody.post(f"{page('channel_test')}?channel={channel.pk}", typed))
    assert "may not call private addresses" in said and receiver.received == []
    url = page("channel_change", channel.pk)
    assert somebody.post(url, typed).status_code == 302
    channel.refresh_from_db()
    assert channel.allow_private is False
    assert admin_client.post(url, typed).status_code == 302
    assert somebody.post(url, {**typed, "min_level": "error", "allow_private": ""}).status_code == 302
    channel.refresh_from_db()
    assert (channel.allow_private, channel.min_level) == (True, "error")
    said = text_of(somebody.post(f"{page('channel_test')}?channel={channel.pk}", typed))
    assert "Sent." in said


def test_superusers_set_up_programs(admin_client: Client) -> None:
    """Protects the kind itself."""
    config = {**COMMON, "setting_command": "/bin/echo"}
    assert admin_client.post(f"{page('channel_add')}?kind=command", config).status_code == 302
    channel = Channel.objects.get(kind="command")
    changed = {**COMMON, "setting_command": "/bin/true"}
    assert admin_client.post(page("channel_change", channel.pk), changed).status_code == 302


def test_the_history_of_a_channel_says_who_tested_and_no_secret(
    admin_client: Client, receiver: Receiver
) -> None:
    """Protects the audit: trying out other addresses through a channel is on record, what was typed is not."""
    channel = channel_of("webhook", url=receiver.url)
    typed = {**COMMON, "setting_url": f"{receiver.url}/{SECRET}", "setting_tls_verify": "on"}
    admin_client.post(f"{page('channel_test')}?channel={channel.pk}", typed)
    admin_client.post(page("channel_change", channel.pk), typed)
    said = [entry.change_message for entry in LogEntry.objects.filter(object_id=str(channel.pk))]
    assert len(said) == 2 and "Test with values that are not saved." in said
    assert not any(SECRET in text for text in said)


@pytest.mark.parametrize("value", ["alert.container", "a.log_tail|join:' '", "alert.colour"])
def test_no_style_is_made_of_what_containers_say(value: str) -> None:
    """Protects readers of mail: a style could load a picture, and so tell who reads it."""
    source = f'{{% with a=alert %}}<p style="color:{{{{ {value} }}}}">x</p>{{% endwith %}}'
    with pytest.raises(ConfigError, match="colour"):
        check_template(source, "html")
    with pytest.raises(ConfigError, match="colour"):
        check_template(
            '{% with colour=alert.cause %}<p style="color:{{ colour }}">x</p>{% endwith %}', "html"
        )
    check_template('<p style="color:{{ colour }}">x</p>', "html")


@pytest.mark.parametrize(
    "name",
    ["channel_test", "silence_preview", "messagetemplate_preview"],
)
def test_looking_is_no_right_to_try(name: str) -> None:
    """Protects people and the machine: tests and previews are for who may write."""
    viewer = staff("view_channel", "view_silence", "view_messagetemplate", "view_route", "view_activealert")
    kinds = "?kind=webhook" if name == "channel_test" else ""
    assert viewer.post(page(name) + kinds, {"matchers": "a=b", "title": "x"}).status_code == 403


def test_engines_are_never_called(receiver: Receiver) -> None:
    """Protects the machines of the engines: a POST to an engine's API builds, starts and kills containers."""
    Host.objects.create(name="far", address=f"tcp://127.0.0.1:{receiver.port}")
    Host.objects.create(name="near", address="unix:///run/some-engine.sock")
    assert {("127.0.0.1", receiver.port), ("/run/some-engine.sock", 0)} <= set(stores.never_called())
    with pytest.raises(RefusedAddress, match="engines"):
        channel_of("webhook", url=f"{receiver.url}/containers/prune").build().send(MESSAGE)
    assert receiver.received == []
