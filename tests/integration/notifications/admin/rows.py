"""Rows of alerting for tests of its admin."""

from __future__ import annotations

import html
import re
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import Permission, User
from django.contrib.messages import get_messages
from django.db.models import Model
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from notifications import routes
from notifications.models import (
    ActiveAlert,
    AlertGroup,
    Channel,
    Delivery,
    EscalationStep,
    GroupMember,
    GroupMessage,
    InhibitRule,
    LogEntry,
    MessageItem,
    MessageTemplate,
    Notification,
    Receiver,
    RotationMember,
    Route,
    Silence,
    TimeInterval,
)

SUBMITTED = {"_form_submitted": "on"}


def page(name: str, *args: Any) -> str:
    return reverse(f"admin:notifications_{name}", args=args)


def press(client: Client, action: str, row: Model, **data: str) -> list[str]:
    """Press a button of a row and confirm its dialog; returns the messages shown."""
    url = page(f"{row._meta.model_name}_{action}", row.pk)
    response = client.post(url, {**SUBMITTED, **data})
    assert response.status_code == 302, response.content
    return [str(message) for message in get_messages(response.wsgi_request)]


def text_of(response: Any) -> str:
    """What a person reads of a page."""
    assert response.status_code == 200
    return " ".join(html.unescape(re.sub("<[^>]*>", " ", response.content.decode())).split())


def staff(*permissions: str) -> Client:
    """Somebody who may do this and nothing else."""
    user = User.objects.create_user("somebody", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(user)
    return client


def make_alert(key: str = "container:1", level: str = "critical", **labels: str) -> ActiveAlert:
    """Something that fires, with the notification that says so."""
    labels = {"alertname": "container_failed", "host": "node-1", "container": key, **labels}
    notification = Notification.objects.create(
        level=level, title=f"{key} fails", alert_key=key, alertname=labels["alertname"], container=key,
        host=labels["host"], labels={name: value for name, value in labels.items() if name == "team"},
    )  # fmt: skip
    return ActiveAlert.objects.create(
        alert_key=key, notification=notification, level=level, alertname=labels["alertname"],
        labels={**labels, "severity": level}, starts_at=timezone.now() - timedelta(minutes=3),
    )  # fmt: skip


def fill(count: int, start: int = 0) -> None:
    """`count` rows of every kind, none sharing a parent with another where it can be avoided."""
    now = timezone.now()
    top = routes.root()
    for number in range(start, start + count):
        template = MessageTemplate.objects.create(name=f"template-{number}", title="{{ title }}")
        backup = Channel.objects.create(name=f"backup-{number}", kind="log")
        channel = Channel.objects.create(name=f"log-{number}", kind="log", template=template, backup=backup)
        one, two = (Receiver.objects.create(name=f"{name}-{number}") for name in ("one", "two"))
        one.channels.add(channel)
        RotationMember.objects.create(rotation=two, member=one)
        interval = TimeInterval.objects.create(name=f"nights-{number}", spec=[{"weekdays": ["monday"]}])
        route = Route.objects.create(parent=top, name=f"route-{number}", matchers='team="shop"', receiver=two)
        route.mute_intervals.add(interval)
        EscalationStep.objects.create(route=route, receiver=one)
        InhibitRule.objects.create(
            name=f"rule-{number}", source_matchers='alertname="host_down"', target_matchers='host="node-1"'
        )
        Silence.objects.create(
            matchers=f'container="web-{number}"',
            ends_at=now + timedelta(hours=1),
            created_by="ann",
            comment="x",
        )
        alert = make_alert(f"web-{number}")
        group = AlertGroup.objects.create(
            route=route, route_name=route.name, key=f"key-{number}", created_at=now, labels={"host": "node-1"}
        )
        GroupMember.objects.create(group=group, alert=alert)
        LogEntry.objects.create(group=group, channel=channel, sent_at=now)
        message = GroupMessage.objects.create(group=group, lead=alert.notification, created_at=now)
        MessageItem.objects.create(message=message, notification=alert.notification)
        Delivery.objects.create(
            message=message, notification=alert.notification, channel=channel, channel_name=channel.name
        )
