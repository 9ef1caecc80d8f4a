"""Receivers, time intervals, inhibit rules and message templates in the admin."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from notifications.models import InhibitRule, MessageTemplate, Receiver, RotationMember, TimeInterval
from tests.integration.notifications.admin.rows import page, staff, text_of

pytestmark = pytest.mark.django_db


def errors_of(response: Any) -> dict[str, list[str]]:
    assert response.status_code == 200
    return dict(response.context["adminform"].form.errors)


def test_a_rotation_shows_who_is_on_duty(admin_client: Client) -> None:
    """The list and the page name the one whose shift it is now."""
    ann, bob = (Receiver.objects.create(name=name) for name in ("ann", "bob"))
    team = Receiver.objects.create(name="team", rotation_start=timezone.now() - timedelta(days=8))
    for position, member in enumerate((ann, bob)):
        RotationMember.objects.create(rotation=team, position=position, member=member)
    rows = admin_client.get(page("receiver_changelist")).content.decode()
    duty = rows.split("field-duty_shown")[-1].split("</td>")[0]
    assert "bob" in duty
    assert ">bob</a>" in admin_client.get(page("receiver_change", team.pk)).content.decode()


def test_a_receiver_is_no_member_of_itself(admin_client: Client) -> None:
    """The form does not offer what could not work."""
    team = Receiver.objects.create(name="team")
    form = (
        admin_client.get(page("receiver_change", team.pk))
        .context["inline_admin_formsets"][0]
        .formset.empty_form
    )
    assert team not in form.fields["member"].queryset


def test_intervals_are_checked_and_say_whether_they_hold(admin_client: Client) -> None:
    """A wrong weekday is told with its place; a right one is shown as it is now."""
    wrong = {"name": "x", "spec": '[{"weekdays": ["someday"]}]'}
    assert "spec[0].weekdays[0]" in errors_of(admin_client.post(page("timeinterval_add"), wrong))["spec"][0]
    always = {"name": "always", "spec": '[{"times": [{"start_time": "00:00", "end_time": "24:00"}]}]'}
    assert admin_client.post(page("timeinterval_add"), always).status_code == 302
    assert "holds" in text_of(admin_client.get(page("timeinterval_changelist")))
    interval = TimeInterval.objects.get()
    assert (
        '  {\n    "times"'
        in admin_client.get(page("timeinterval_change", interval.pk))
        .context["adminform"]
        .form["spec"]
        .value()
    )


def test_inhibit_rules_are_written_with_names_of_labels(admin_client: Client) -> None:
    """`host, project` becomes the list that the flow reads; an empty source, which would match everything, is refused."""
    fields = {
        "name": "hosts",
        "enabled": "on",
        "source_matchers": 'alertname="host_down"',
        "target_matchers": 'project=~".+"',
    }
    assert admin_client.post(page("inhibitrule_add"), {**fields, "equal": "host, project"}).status_code == 302
    rule = InhibitRule.objects.get(name="hosts")
    assert rule.equal == ["host", "project"]
    assert admin_client.post(page("inhibitrule_change", rule.pk), {**fields, "equal": ""}).status_code == 302
    rule.refresh_from_db()
    assert rule.equal == []
    empty = {**fields, "name": "x", "source_matchers": ""}
    assert list(errors_of(admin_client.post(page("inhibitrule_add"), empty))) == ["source_matchers"]


def test_a_template_is_previewed_before_it_is_saved(admin_client: Client) -> None:
    """The button shows what the sources in the form make of a made-up alert; HTML in a frame that runs nothing."""
    url = page("messagetemplate_preview")
    typed = {"language": "en", "title": "Look: {{ title }}", "body": "", "html": "<p>{{ alert.host }}</p>"}
    response = admin_client.post(url, typed)
    shown = response.content.decode()
    assert "Look: " in shown and "node-1" in shown
    assert 'sandbox=""' in shown and "&lt;p&gt;node-1&lt;/p&gt;" in shown
    wrong = text_of(admin_client.post(url, {**typed, "body": "one\n{% if %}"}))
    assert "line 2" in wrong
    assert not MessageTemplate.objects.exists()
    assert admin_client.get(url).status_code == 405
    assert staff("view_messagetemplate").post(url, typed).status_code == 403


def test_a_template_that_cannot_be_used_is_told_at_its_field(admin_client: Client) -> None:
    """What is wrong is said with its line at the part that has it, and nothing is saved."""
    fields = {"name": "ours", "language": "en", "title": "{{ nobody }}", "body": "", "html": ""}
    response = admin_client.post(page("messagetemplate_add"), fields)
    assert list(errors_of(response)) == ["title"] and "line 1" in errors_of(response)["title"][0]
    assert (
        admin_client.post(page("messagetemplate_add"), {**fields, "title": "{{ title }}"}).status_code == 302
    )


def test_the_form_lists_what_a_template_may_use(admin_client: Client) -> None:
    """Variables with what they hold in the preview, filters, and the built-in sources to begin with."""
    shown = text_of(admin_client.get(page("messagetemplate_add")))
    for said in ("{{ alert.container }}", "shop-web-1", "|timesince", "{% for %}", "{{ title }}"):
        assert said in shown, said
