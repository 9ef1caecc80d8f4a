"""Channels in the admin: a form for each kind, secrets that stay hidden, tests that are really sent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from notifications.admin import kinds, testing
from notifications.admin.channels import ChannelForm
from notifications.channels import fields_of, registry
from notifications.core.alert import Message
from notifications.models import Channel
from tests.contract.channels.receiver import NEVER, Receiver, receiving
from tests.integration.notifications.admin.rows import page, press, staff, text_of

pytestmark = pytest.mark.django_db

SECRET = "whsec_" + "c2VjcmV0" * 4
COMMON = {
    "name": "hook", "enabled": "on", "min_level": "info", "tell": "all", "send_resolved": "on", "digest": "none",
    "language": "en", "rate_limit": "30", "rate_window": "60", "allow_private": "on",
}  # fmt: skip


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as started:
        yield started


def made(url: str) -> Channel:
    config = {"url": f"{url}/very-secret-path", "secret": SECRET}
    return Channel.objects.create(name="hook", kind="webhook", config=config, allow_private=True)


def errors_of(response: Any) -> dict[str, list[str]]:
    assert response.status_code == 200
    return dict(response.context["adminform"].form.errors)


def test_first_the_kind_is_chosen(admin_client: Client) -> None:
    """Who adds a channel sees what there is, and the form of what was chosen; what is made for tests is not offered."""
    shown = admin_client.get(page("channel_add")).content.decode()
    assert all(f"kind={name}" in shown for name in kinds.offered())
    assert "kind=fake" not in shown
    for kind in ("pigeon", "fake"):
        response = admin_client.post(f"{page('channel_add')}?kind={kind}", COMMON)
        assert "adminform" not in (response.context or {})
    assert not Channel.objects.filter(name="hook").exists()


def test_every_kind_has_its_fields_with_help(admin_client: Client) -> None:
    """No kind is left to JSON that says what its settings are, and each of them is explained."""
    for kind in kinds.offered():
        response = admin_client.get(page("channel_add"), {"kind": kind})
        form = response.context["adminform"].form
        for field in fields_of(kind) or ():
            assert form.fields[f"setting_{field.name}"].help_text == field.help, (kind, field.name)


def test_a_setting_that_cannot_be_used_is_told_at_its_field(admin_client: Client) -> None:
    """Protects people from finding out only when the first alert is lost."""
    url = f"{page('channel_add')}?kind=webhook"
    assert list(errors_of(admin_client.post(url, {**COMMON, "setting_url": "nowhere"}))) == ["setting_url"]
    assert list(errors_of(admin_client.post(url, {**COMMON, "setting_url": ""}))) == ["setting_url"]
    wrong = {**COMMON, "setting_url": "https://example.org/", "setting_secret": "short"}
    assert list(errors_of(admin_client.post(url, wrong))) == ["setting_secret"]
    headers = {**COMMON, "setting_url": "https://example.org/", "setting_headers": "[1]"}
    assert list(errors_of(admin_client.post(url, headers))) == ["setting_headers"]


def test_what_was_filled_in_is_what_is_stored(admin_client: Client) -> None:
    """The form makes the configuration that the channel reads: numbers, lists and switches as such, nothing for nothing."""
    fields = {
        **COMMON, "setting_host": "smtp.example.org", "setting_port": "2525", "setting_mode": "starttls",
        "setting_tls_verify": "on", "setting_user": "", "setting_from_address": "selfheal@example.org",
        "setting_to": "a@example.org\nb@example.org\n",
    }  # fmt: skip
    response = admin_client.post(f"{page('channel_add')}?kind=email", fields)
    assert response.status_code == 302, errors_of(response)
    channel = Channel.objects.get(name="hook")
    assert (channel.kind, channel.config) == (
        "email",
        {
            "host": "smtp.example.org", "port": 2525, "mode": "starttls", "tls_verify": True,
            "from_address": "selfheal@example.org", "to": ["a@example.org", "b@example.org"],
        },
    )  # fmt: skip


@pytest.mark.parametrize(("digest", "is_warned"), [("none", True), ("daily", False)])
def test_heals_left_to_a_digest_that_never_comes_are_warned_of(
    admin_client: Client, digest: str, is_warned: bool
) -> None:
    """Protects people from a channel that keeps quiet about heals because its digest was not chosen."""
    fields = {
        **COMMON, "tell": "first_in_digest", "digest": digest, "setting_url": "https://example.org/",
        "setting_tls_verify": "on",
    }  # fmt: skip
    response = admin_client.post(f"{page('channel_add')}?kind=webhook", fields, follow=True)
    assert Channel.objects.get(name="hook").digest == digest
    assert ("this channel gets none" in response.content.decode()) == is_warned


def test_a_secret_is_never_shown_again_and_kept(admin_client: Client) -> None:
    """Whoever opens the form reads no secret; saving it with empty fields loses none, and a box clears what may be left."""
    channel = made("https://example.org")
    url = page("channel_change", channel.pk)
    shown = admin_client.get(url).content.decode()
    assert SECRET not in shown and "very-secret-path" not in shown
    assert "Leave empty to keep it." in shown
    assert (
        admin_client.post(url, {**COMMON, "min_level": "error", "setting_tls_verify": "on"}).status_code
        == 302
    )
    channel.refresh_from_db()
    assert (channel.min_level, channel.config["secret"]) == ("error", SECRET)
    assert channel.config["url"] == "https://example.org/very-secret-path"
    assert admin_client.post(url, {**COMMON, "clear_secret": "on"}).status_code == 302
    channel.refresh_from_db()
    assert set(channel.config) == {"url", "tls_verify"}


def test_who_may_only_look_reads_no_secret() -> None:
    """The page without a form says which settings there are, and of secrets only that they are set."""
    channel = made("https://example.org")
    shown = text_of(staff("view_channel").get(page("channel_change", channel.pk)))
    assert SECRET not in shown and "very-secret-path" not in shown
    assert "Signing secret set" in shown and "Former secret not set" in shown


def test_a_channel_that_is_enabled_again_begins_anew(admin_client: Client) -> None:
    """What disabled it is forgotten, so that it is not disabled again at the next failure."""
    channel = made("https://example.org")
    now = timezone.now()
    Channel.objects.update(
        enabled=False, disabled_reason="failed for a week", failing_since=now, blocked_until=now
    )
    assert admin_client.post(page("channel_change", channel.pk), COMMON).status_code == 302
    channel.refresh_from_db()
    assert channel.enabled
    assert (channel.disabled_reason, channel.failing_since, channel.blocked_until) == ("", None, None)


def test_saving_leaves_what_is_found_out_meanwhile(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A change of the name does not hide that the channel has begun to fail since the form was read."""
    channel = made("https://example.org")
    clean = ChannelForm.clean

    def fails_meanwhile(form: ChannelForm) -> dict[str, Any]:
        Channel.objects.update(failing_since=timezone.now())
        return clean(form)

    monkeypatch.setattr(ChannelForm, "clean", fails_meanwhile)
    assert admin_client.post(page("channel_change", channel.pk), {**COMMON, "name": "new"}).status_code == 302
    channel.refresh_from_db()
    assert channel.name == "new" and channel.failing_since is not None


def test_settings_that_cannot_be_decrypted_are_entered_anew(admin_client: Client) -> None:
    """After a change of the secret key the form says so, asks for all of them, and loses nothing by itself."""
    channel = made("https://example.org")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE notifications_channel SET config = 'gAAAA' WHERE id = %s", [channel.pk])
    url = page("channel_change", channel.pk)
    assert "cannot be decrypted" in text_of(admin_client.get(url))
    assert list(errors_of(admin_client.post(url, COMMON))) == ["setting_url"]
    assert "cannot be decrypted" in press(admin_client, "send_test_this", channel)[-1]
    assert admin_client.post(url, {**COMMON, "setting_url": "https://example.org/new"}).status_code == 302
    channel.refresh_from_db()
    assert channel.config["url"] == "https://example.org/new"


class PigeonChannel:
    """A plug-in that does not say what its settings are."""

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> PigeonChannel:
        return cls()

    def send(self, message: Message) -> str:
        return "flew"


def test_a_plug_in_without_fields_is_set_up_by_json(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An installed kind that says nothing of its settings can be used all the same, and all of them count as secret."""
    monkeypatch.setattr(registry, "_plugins", lambda: {"pigeon": PigeonChannel})
    fields = {**COMMON, "setting_config": '{"loft": "north"}'}
    assert admin_client.post(f"{page('channel_add')}?kind=pigeon", fields).status_code == 302
    channel = Channel.objects.get(name="hook")
    assert channel.config == {"loft": "north"}
    assert "north" not in admin_client.get(page("channel_change", channel.pk)).content.decode()
    assert admin_client.post(page("channel_change", channel.pk), COMMON).status_code == 302
    channel.refresh_from_db()
    assert channel.config == {"loft": "north"}
    assert press(admin_client, "send_test_this", channel)[-1] == "hook: sent, and the answer was: flew"


def test_a_test_is_really_sent_and_its_answer_shown(admin_client: Client, receiver: Receiver) -> None:
    """The button sends a marked message at once, each with an id of its own, and shows what the service said."""
    channel = made(receiver.url)
    shown = press(admin_client, "send_test_this", channel)
    assert shown == ["hook: sent, and the answer was: 200 thanks"]
    press(admin_client, "send_test_this", channel)
    (_, first), (_, second) = receiver.requests
    assert first["title"].startswith("[Test] ") and first["text"]["title"].startswith("[Test] ")
    assert first["id"] != second["id"] and first["thread"] != second["thread"]


def test_a_refusal_is_shown_without_secrets(admin_client: Client, receiver: Receiver) -> None:
    """What went wrong is told, and no secret that stands in the address or in the answer."""
    receiver.status, receiver.body = 403, f"no {SECRET}".encode()
    (shown,) = press(admin_client, "send_test_this", made(receiver.url))
    assert "not sent" in shown and "403" in shown
    assert SECRET not in shown and "very-secret-path" not in shown


def test_a_service_that_hangs_holds_nobody_up(
    admin_client: Client, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page answers after its time limit, whatever the service does."""
    monkeypatch.setattr(testing, "SECONDS", 0.3)
    receiver.status = NEVER
    assert press(admin_client, "send_test_this", made(receiver.url)) == [
        "hook: not sent: No answer within 0.3 s."
    ]


def test_what_is_typed_is_tested_before_it_is_saved(admin_client: Client, receiver: Receiver) -> None:
    """The button in the form sends with the values in its fields, secrets that are kept included, and saves nothing."""
    url = page("channel_test")
    typed = {"setting_url": f"{receiver.url}/new", "allow_private": "on", "language": "zh-hans"}
    assert "Sent. The answer was: 200 thanks" in text_of(admin_client.post(f"{url}?kind=webhook", typed))
    assert receiver.requests[0][1]["title"].startswith("[测试] ")
    assert not Channel.objects.filter(kind="webhook").exists()
    channel = made(receiver.url)
    answer = text_of(
        admin_client.post(f"{url}?channel={channel.pk}", {"allow_private": "on", "language": "en"})
    )
    assert "Sent." in answer
    assert "webhook-signature" in {name.lower() for name in receiver.requests[1][0]}
    wrong = text_of(admin_client.post(f"{url}?kind=webhook", {"setting_url": "x"}))
    assert wrong.startswith("Address: ")
    refused = text_of(admin_client.post(f"{url}?kind=webhook", {"setting_url": receiver.url}))
    assert "may not call private addresses" in refused


def test_only_who_may_change_channels_may_test(receiver: Receiver) -> None:
    """A test reaches people, so looking at channels is not enough for it."""
    channel = made(receiver.url)
    viewer = staff("view_channel")
    assert (
        viewer.post(page("channel_send_test_this", channel.pk), {"_form_submitted": "on"}).status_code == 403
    )
    assert viewer.post(f"{page('channel_test')}?channel={channel.pk}", {}).status_code == 403
    assert viewer.post(f"{page('channel_test')}?kind=webhook", {}).status_code == 403
    assert receiver.requests == []


def test_a_link_sends_nothing(admin_client: Client, receiver: Receiver) -> None:
    """Following a link asks first: another site cannot make a browser send messages."""
    channel = made(receiver.url)
    assert b"Send a test" in admin_client.get(page("channel_send_test_this", channel.pk)).content
    assert admin_client.get(f"{page('channel_test')}?channel={channel.pk}").status_code == 405
    assert receiver.requests == []
