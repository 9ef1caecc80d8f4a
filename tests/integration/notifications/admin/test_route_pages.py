"""The route tree in the admin: its order, what it inherits, its forms, and the page that tries an alert."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from notifications import routes
from notifications.models import Channel, EscalationStep, Receiver, Route
from tests.integration.notifications.admin.rows import make_alert, page, staff, text_of

pytestmark = pytest.mark.django_db

NO_STEPS = {"escalation-TOTAL_FORMS": "0", "escalation-INITIAL_FORMS": "0"}


def fields(**changes: Any) -> dict[str, Any]:
    return {
        "name": "ops",
        "enabled": "on",
        "parent": routes.root().pk,
        "position": "10",
        **NO_STEPS,
        **changes,
    }


def errors_of(response: Any) -> dict[str, list[str]]:
    assert response.status_code == 200
    return dict(response.context["adminform"].form.errors)


def test_the_list_is_the_tree_in_the_order_of_asking(admin_client: Client) -> None:
    """Children stand below their parent, siblings by their position, and the root is there from the start."""
    assert "everything" in text_of(admin_client.get(page("route_changelist")))
    top = routes.root()
    second = Route.objects.create(parent=top, name="second", position=2)
    Route.objects.create(parent=top, name="first", position=1, group_wait=timedelta(minutes=2))
    Route.objects.create(parent=second, name="below", matchers='host="x"', position=0)
    response = admin_client.get(page("route_changelist"))
    shown = [(row.name, row.depth) for row in response.context["cl"].result_list]
    assert shown == [("everything", 0), ("first", 1), ("second", 1), ("below", 2)]
    text = response.content.decode()
    assert '2m / <span class="sh-inherited" title="inherited">5m</span>' in text


def test_durations_and_labels_are_written_as_people_write_them(admin_client: Client) -> None:
    """`5m` and `alertname, host` are stored as what the flow reads, shown again as they were written, empty as inherited."""
    step = {
        "escalation-TOTAL_FORMS": "1", "escalation-INITIAL_FORMS": "0", "escalation-0-after": "15m",
        "escalation-0-receiver": str(Receiver.objects.create(name="boss").pk),
    }  # fmt: skip
    written = fields(group_by="alertname, host", group_wait="1m30s", repeat_interval="2d", **step)
    response = admin_client.post(page("route_add"), written)
    assert response.status_code == 302, errors_of(response)
    route = Route.objects.get(name="ops")
    assert (route.group_by, route.group_wait, route.group_interval, route.repeat_interval) == (
        ["alertname", "host"], timedelta(seconds=90), None, timedelta(days=2),
    )  # fmt: skip
    assert EscalationStep.objects.get().after == timedelta(minutes=15)
    form = admin_client.get(page("route_change", route.pk)).content.decode()
    assert 'value="1m30s"' in form and 'value="alertname, host"' in form
    assert 'placeholder="5m"' in form and 'value="15m"' in form


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("group_wait", "soon"),
        ("group_interval", "5 parsecs"),
        ("repeat_interval", "9999w"),
        ("group_by", "..., host"),
        ("matchers", "host=~["),
        ("matchers", "no matcher"),
        ("parent", ""),
    ],
)
def test_what_cannot_be_used_is_told_at_its_field(admin_client: Client, field: str, value: str) -> None:
    """A typing error is found when it is written, not when an alert goes astray."""
    assert list(errors_of(admin_client.post(page("route_add"), fields(**{field: value})))) == [field]
    assert not Route.objects.filter(name="ops").exists()


@pytest.mark.parametrize(("written", "stored"), [("", None), ("-", []), ("...", ["..."]), ("host", ["host"])])
def test_each_way_of_grouping_can_be_written(admin_client: Client, written: str, stored: Any) -> None:
    """As the parent, all in one, each by itself, by labels."""
    assert admin_client.post(page("route_add"), fields(group_by=written)).status_code == 302
    route = Route.objects.get(name="ops")
    assert route.group_by == stored
    again = fields(
        group_by=admin_client.get(page("route_change", route.pk))
        .context["adminform"]
        .form["group_by"]
        .value()
        or ""
    )
    assert admin_client.post(page("route_change", route.pk), again).status_code == 302
    route.refresh_from_db()
    assert route.group_by == stored


def test_the_root_stays(admin_client: Client) -> None:
    """Every alert needs a way: the root cannot be deleted, moved, narrowed or switched off."""
    top = routes.root()
    assert admin_client.post(page("route_delete", top.pk), {"post": "yes"}).status_code == 403
    other = Route.objects.create(parent=top, name="other")
    changes = {
        "name": "all",
        "parent": str(other.pk),
        "matchers": 'host="x"',
        "position": "0",
        "enabled": "",
        **NO_STEPS,
    }
    response = admin_client.post(page("route_change", top.pk), changes)
    assert response.status_code == 302, errors_of(response)
    top.refresh_from_db()
    assert (top.name, top.parent, top.matchers, top.enabled) == ("all", None, "", True)


def test_trying_an_alert_shows_its_way(admin_client: Client) -> None:
    """The page names the route, the group, the channels, and for what was not taken the matcher that kept it away."""
    Channel.objects.all().delete()
    Channel.objects.create(name="pager", kind="log", min_level="error")
    Channel.objects.create(name="everyone", kind="log")
    Route.objects.create(
        parent=routes.root(), name="shop", matchers='project="shop"', position=1, group_by=["project"]
    )
    Route.objects.create(parent=routes.root(), name="blog", matchers='project="blog"\nteam="x"', position=0)
    assert "Nobody is told" in text_of(admin_client.get(page("route_try_alert")))
    query = {"level": "warning", "project": "shop", "labels": "team=shop"}
    shown = text_of(admin_client.get(page("route_try_alert"), query))
    assert "It would be told on everyone." in shown
    assert "everything › shop" in shown
    assert "it takes error and above" in shown
    assert 'no match: project="blog": project is "shop"' in shown
    wrong = text_of(admin_client.get(page("route_try_alert"), {"level": "warning", "labels": "no label"}))
    assert "Line 1: write a label as name=value." in wrong


def test_an_active_alert_can_be_followed(admin_client: Client) -> None:
    """From what fires one click leads to the page with its labels filled in."""
    alert = make_alert("web-1", team="shop")
    url = admin_client.get(page("activealert_way_this", alert.pk)).headers["Location"]
    shown = text_of(admin_client.get(url))
    assert 'team="shop"' in shown and "It would be told on" in shown


def test_trying_needs_the_right_to_see_routes() -> None:
    """The page shows receivers and channels, so it is not for everybody."""
    assert staff("view_channel").get(page("route_try_alert")).status_code == 403
    assert Client().get(page("route_try_alert")).status_code == 302
