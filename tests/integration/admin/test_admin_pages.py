"""Pages of the admin show what was seen, thought and done; and what containers say cannot act on the reader."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django.fixtures import Settings

from healing.commands import pause
from healing.models import HealingConfig
from selfheal_project.unfold import UNFOLD
from tests.integration.asking.rows import make_attempt, make_container, make_failure

pytestmark = pytest.mark.django_db

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>\x1b[2J\u202e"


def page(client: Client, name: str, pk: object) -> str:
    response = client.get(reverse(f"admin:healing_{name}_change", args=(pk,)))
    assert response.status_code == 200
    return str(response.content.decode())


def test_a_container_page_shows_config_with_origins(admin_client: Client) -> None:
    """Each value stands beside where it came from; a bad label and a check's warning are shown."""
    config = HealingConfig.objects.create(name="strict", failure_threshold=1)
    container = make_container(
        config=config,
        labels={"selfheal.check_interval": "2", "selfheal.max_restarts": "many"},
        mapped={"auto_restart": True},
        health={"status": "unhealthy", "message": "HTTP 500", "warnings": ["no address"]},
    )
    text = page(admin_client, "container", container.pk)
    assert "container web: config strict" in text
    assert "label selfheal.check_interval" in text
    assert "label selfheal.max_restarts=&#x27;many&#x27; is ignored" in text
    assert "no address" in text
    assert "HTTP 500" in text


def test_a_container_page_shows_its_last_failures_and_pause(admin_client: Client) -> None:
    """The reason of each failure is on the container's page, linked to all about it, and a pause names its scope."""
    container = make_container()
    failure = make_failure(container, cause="out of memory", reason="1 of 5 restarts in 300 s")
    pause(container.host, timezone.now() + timedelta(hours=1), "moving house")
    text = page(admin_client, "container", container.pk)
    assert "1 of 5 restarts in 300 s" in text
    assert reverse("admin:healing_failurerecord_change", args=(failure.pk,)) in text
    assert "moving house" in text


def test_a_failure_page_shows_evidence_attempts_and_what_was_done(admin_client: Client) -> None:
    """On one page: what was seen, what was tried with the engine's answer, and the records of what automation did."""
    failure = make_failure(
        make_container(), reason="within budget", details={"log": ["first", "last"], "exit_code": 137}
    )
    make_attempt(failure, answer="204 No Content", reason="first try")
    child = make_failure(
        failure.container, after=9, failure_type="auto_restart", is_found=False, parent=failure
    )
    text = page(admin_client, "failurerecord", failure.pk)
    for expected in (
        "within budget",
        "first\nlast",
        "137",
        "204 No Content",
        "first try",
        f"#{child.pk} auto restart",
    ):
        assert expected in text
    assert f"#{failure.pk} health check failed" in page(admin_client, "failurerecord", child.pk)


def test_what_containers_say_is_escaped_everywhere(admin_client: Client) -> None:
    """Log lines, labels, messages and names from a container are text on every page and list that shows them."""
    container = make_container(
        labels={HOSTILE: HOSTILE},
        image=HOSTILE,
        health={"message": HOSTILE, "warnings": [HOSTILE]},
    )
    failure = make_failure(
        container,
        cause=HOSTILE[:100],
        error_message=HOSTILE,
        reason=HOSTILE,
        details={HOSTILE: [HOSTILE], "nested": {HOSTILE: HOSTILE}, "list": [1, HOSTILE]},
    )
    attempt = make_attempt(failure, answer=HOSTILE, reason=HOSTILE, outcome=HOSTILE)
    texts = [
        page(admin_client, "container", container.pk),
        page(admin_client, "failurerecord", failure.pk),
        page(admin_client, "attempt", attempt.pk),
        page(admin_client, "healthstatus", container.pk),
    ]
    for name in ("container", "failurerecord", "attempt", "healthstatus"):
        texts.append(admin_client.get(reverse(f"admin:healing_{name}_changelist")).content.decode())
    for text in texts:
        assert "<script>alert(1)" not in text
        assert "<img src=x" not in text
    assert "\\x1b[2J\\u202e" in texts[1]


def test_a_config_with_a_bad_value_is_refused_at_its_field(admin_client: Client) -> None:
    """An interval of 0 and a negative threshold are told where they were typed."""
    data = {"name": "bad", "check_interval": "0", "failure_threshold": "-1"}
    response = admin_client.post(reverse("admin:healing_healingconfig_add"), data)
    errors = response.context["adminform"].form.errors
    assert set(errors) == {"check_interval", "failure_threshold"}
    assert "from 0.1" in errors["check_interval"][0]


def test_a_config_left_open_inherits(admin_client: Client) -> None:
    """A choice left at `inherited` is stored as not set, and not as no."""
    data = {
        "name": "mostly-inherited",
        "auto_restart": "unknown",
        "send_alert": "false",
        "always_running": "unknown",
    }
    response = admin_client.post(reverse("admin:healing_healingconfig_add"), data)
    assert response.status_code == 302
    config = HealingConfig.objects.get(name="mostly-inherited")
    assert (config.auto_restart, config.send_alert) == (None, False)


def test_the_sidebar_shows_what_the_user_may_see(admin_client: Client, settings: Settings) -> None:
    """Every page of ours can be reached from every page, by those who may open it."""
    settings.UNFOLD = UNFOLD
    text = admin_client.get(reverse("admin:index")).content.decode()
    for title in ("Containers", "Failures", "Healing configs", "Pause everything", "Schedule"):
        assert title in text
    user = User.objects.create_user("viewer", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_failurerecord"))
    other = Client()
    other.force_login(user)
    text = other.get(reverse("admin:index")).content.decode()
    assert "Failures" in text
    assert "Pause everything" not in text
