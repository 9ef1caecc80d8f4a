"""The admin in a real browser: what a person clicks, what moves, and that no page throws an error."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Browser, Page, expect
from pytest_django.fixtures import Settings
from pytest_django.live_server_helper import LiveServer

from healing.effective import forget_book
from healing.models import Container, FailureRecord
from tests.integration.asking.rows import make_attempt, make_container, make_failure
from tests.testbed.browser import chromium, signed_in
from tests.testbed.wait import until

pytestmark = pytest.mark.django_db(transaction=True)

PASSWORD = "a long enough password"
HOSTILE = "<script>document.title = 'taken over'</script><img src=x onerror=\"document.title='taken over'\">"
SECONDS = 20


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture
def page(browser: Browser, live_server: LiveServer, settings: Settings) -> Iterator[Page]:
    """A page of somebody who has logged in through the form; an error in any script fails the test."""
    settings.PASSWORD_HASHERS = [
        "django.contrib.auth.hashers.MD5PasswordHasher"
    ]  # quick, for this login only
    forget_book()
    User.objects.create_superuser("admin", password=PASSWORD)
    with signed_in(browser, live_server.url, PASSWORD, width=1400, height=900) as page:
        yield page


def test_the_first_page_leads_to_what_is_wrong(page: Page) -> None:
    """From the page after the login it is one click to the failure, and what a container said does not run on the way."""
    failure = make_failure(make_container("web"), took=None, reason=f"held: {HOSTILE}")
    page.goto("/admin/")
    wrong = page.get_by_role("region", name="Open failures")
    expect(wrong).to_contain_text("held: <script>")
    assert "taken over" not in page.title()
    wrong.get_by_role("link", name=f"#{failure.pk}").click()
    page.wait_for_url(f"**/failurerecord/{failure.pk}/change/")


def test_a_container_is_healed_by_hand(page: Page) -> None:
    """From the list to the page, the button asks first, the heal is on record, and the message says so."""
    make_container("web", health={"status": "unhealthy", "lifecycle": "running"})
    page.goto("/admin/healing/container/")
    page.get_by_role("link", name="web", exact=True).click()
    page.locator("a[hx-get*=heal_this]").first.click()
    dialog = page.locator("#dialog")
    expect(dialog).to_contain_text("never through a pause")
    assert not FailureRecord.objects.exists()
    dialog.get_by_role("button", name="Heal now").click()
    expect(page.get_by_text("Healing web.")).to_be_visible()
    assert until(lambda: FailureRecord.objects.filter(forced=True).exists(), SECONDS, "a forced failure")


def test_a_container_is_paused_with_a_reason(page: Page) -> None:
    """The dialog takes minutes and a reason, refuses a wrong number in place, and the page shows the pause."""
    container = make_container("web")
    page.goto(f"/admin/healing/container/{container.pk}/change/")
    page.locator("a[hx-get*=pause_this]").first.click()
    dialog = page.locator("#dialog")
    dialog.locator("[name=minutes]").fill("0")
    dialog.get_by_role("button", name="Pause").click()
    expect(dialog).to_contain_text("greater than or equal to 1")
    dialog.locator("[name=minutes]").fill("15")
    dialog.locator("[name=reason]").fill("deploying")
    dialog.get_by_role("button", name="Pause").click()
    expect(page.get_by_text("Paused web for 15 minutes.")).to_be_visible()
    expect(page.locator(".sh-table").first).to_contain_text("deploying")


def test_chosen_containers_are_disabled(page: Page) -> None:
    """Ticking rows and choosing an action acts on those rows alone."""
    make_container("one")
    make_container("two")
    page.goto("/admin/healing/container/")
    page.locator("tr", has_text="one").locator("input.action-select").check()
    page.locator("select[name=action]").select_option("disable_selected")
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.get_by_text("Disabled 1 containers.")).to_be_visible()
    assert set(Container.objects.filter(monitored=True).values_list("name", flat=True)) == {"two"}


def test_what_a_container_says_does_not_run(page: Page) -> None:
    """A log line with a script in it is read, not run, on the failure's and the container's page."""
    container = make_container("web", labels={"note": HOSTILE}, health={"message": HOSTILE})
    failure = make_failure(container, error_message=HOSTILE, details={"log": [HOSTILE]}, reason=HOSTILE)
    make_attempt(failure, answer=HOSTILE)
    for address in (f"failurerecord/{failure.pk}", f"container/{container.pk}"):
        page.goto(f"/admin/healing/{address}/change/", wait_until="networkidle")
        assert "taken over" not in page.title()
        expect(page.get_by_text("document.title").first).to_be_attached()


def test_a_bad_address_is_told_at_its_field(page: Page) -> None:
    """A person who types the address of an engine wrongly reads at the field what to write."""
    page.goto("/admin/healing/host/add/")
    page.fill("[name=name]", "edge")
    page.fill("[name=address]", "tcp://engine")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("add the port")).to_be_visible()
