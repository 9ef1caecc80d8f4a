"""Lists of the admin: they open, they search and filter, and fifty rows cost what five cost."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib import admin
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from healing.models import ConfigCeiling, Heartbeat, Probe, Project, Service, Tenant, Trouble
from tests.integration.asking.rows import NOON, make_attempt, make_container, make_failure, make_host

pytestmark = pytest.mark.django_db

OURS = sorted(
    model._meta.label_lower
    for model in admin.site._registry
    if model._meta.app_label in ("healing", "django_celery_beat", "auth")
)


def url_of(label: str, page: str = "changelist", *args: object) -> str:
    return reverse(f"admin:{label.replace('.', '_')}_{page}", args=args)


def fill(count: int, start: int = 0) -> None:
    """`count` rows of every kind, none sharing a parent with another where it can be avoided."""
    for number in range(start, start + count):
        tenant = Tenant.objects.create(name=f"tenant-{number}")
        host = make_host(f"host-{number}")
        container = make_container(
            f"web-{number}", host=host.name, project=f"shop-{number}", service="web", tenant=tenant
        )
        Project.objects.filter(name=f"shop-{number}").update(tenant=tenant)
        service = Service.objects.get(project__name=f"shop-{number}")
        failure = make_failure(container, after=number, tenant=tenant, alert_level="warning")
        make_attempt(failure)
        Probe.objects.create(container=container, name="up", target="tcp://:80")
        Probe.objects.create(service=service, name="up", target="tcp://:80")
        ConfigCeiling.objects.create(field="max_restarts", host=host, maximum=10)
        Heartbeat.objects.create(name=f"worker:{number}", at=NOON)
        Trouble.objects.create(key=f"probe:{number}", message="cannot look", since=NOON)


@pytest.mark.parametrize("label", OURS)
def test_every_list_and_page_opens(admin_client: Client, label: str) -> None:
    """Every registered model has a list that opens, and a page of a row that opens."""
    fill(2)
    assert admin_client.get(url_of(label)).status_code == 200
    model = next(model for model in admin.site._registry if model._meta.label_lower == label)
    row = model._default_manager.first()
    if row is not None:
        assert admin_client.get(url_of(label, "change", row.pk)).status_code == 200


@pytest.mark.parametrize("label", [label for label in OURS if label.startswith("healing.")])
def test_fifty_rows_cost_as_many_queries_as_five(admin_client: Client, label: str) -> None:
    """No list asks the database again for each row."""
    fill(5)
    admin_client.get(url_of(label))  # content types and the like are cached from here on
    with CaptureQueriesContext(
        connection,
    ) as few:
        admin_client.get(url_of(label))
    fill(45, start=5)
    with CaptureQueriesContext(connection) as many:
        response = admin_client.get(url_of(label))
    assert response.status_code == 200
    assert len(many) == len(few), "\n".join(query["sql"] for query in many.captured_queries)


def test_fifty_rows_a_page(admin_client: Client) -> None:
    """A long list comes in pages of fifty."""
    container = make_container()
    for number in range(51):
        make_failure(container, after=number)
    response = admin_client.get(url_of("healing.failurerecord"))
    assert len(response.context["cl"].result_list) == 50


@pytest.mark.parametrize("term", ["web-1", "shop-1", "deadbeef"])
def test_containers_are_found_by_name_project_and_engine_id(admin_client: Client, term: str) -> None:
    """What a person has at hand finds the container."""
    wanted = make_container("web-1", project="shop-1", service="web", engine_id="deadbeef" * 8)
    make_container("db-2", project="blog-2", service="db")
    response = admin_client.get(url_of("healing.container"), {"q": term})
    assert list(response.context["cl"].result_list) == [wanted]


def test_containers_are_filtered_by_health_and_host(admin_client: Client) -> None:
    """The question of every morning: what is unhealthy, and where."""
    sick = make_container("sick", host="h1", health={"status": "unhealthy"})
    make_container("sick-too", host="h2", health={"status": "unhealthy"})
    make_container("well", host="h1", health={"status": "healthy"})
    query = {"health__status__exact": "unhealthy", "host__id__exact": str(sick.host_id)}
    response = admin_client.get(url_of("healing.container"), query)
    assert list(response.context["cl"].result_list) == [sick]


def test_failures_are_filtered_by_type_and_time(admin_client: Client) -> None:
    """Found failures of one type since a time, without what automation did."""
    container = make_container()
    make_failure(container, after=0, failure_type="container_stopped")
    wanted = make_failure(container, after=86_400, failure_type="container_stopped")
    make_failure(container, after=86_401, failure_type="auto_restart", is_found=False, parent=wanted)
    day = NOON + timedelta(days=1)
    query = {
        "failure_type__exact": "container_stopped",
        "detected_at_from_0": f"{day:%Y-%m-%d}",
        "detected_at_from_1": "00:00:00",
    }
    response = admin_client.get(url_of("healing.failurerecord"), query)
    assert list(response.context["cl"].result_list) == [wanted]


@pytest.mark.parametrize(
    ("label", "word", "colour"),
    [
        ("healing.container", "unhealthy", "bg-red-100"),
        ("healing.container", "quarantined", "bg-red-100"),
        ("healing.failurerecord", "success", "bg-green-100"),
        ("healing.failurerecord", "critical", "bg-red-100"),
        ("healing.attempt", "succeeded", "bg-green-100"),
        ("healing.healthstatus", "unhealthy", "bg-red-100"),
        ("healing.host", "up", "bg-green-100"),
    ],
)
def test_words_have_the_colour_they_mean(admin_client: Client, label: str, word: str, colour: str) -> None:
    """Red is bad, green is good, in every list."""
    container = make_container(health={"status": "unhealthy", "lifecycle": "quarantined"})
    make_attempt(make_failure(container, alert_level="critical"))
    text = admin_client.get(url_of(label)).content.decode()
    labels = [
        part for part in text.split("<span ")[1:] if part.split("</span>")[0].split(">")[-1].strip() == word
    ]
    assert any(colour in part.split(">")[0] for part in labels)
