"""Adding an engine in a real browser, to a Selfheal that runs: tested before it is saved, and seen alive afterwards."""

from __future__ import annotations

import re

from playwright.sync_api import Locator, Page, expect

from tests.scenarios.labels import quick
from tests.scenarios.stack import Stack
from tests.testbed.containers import Containers
from tests.testbed.engine import Engine
from tests.testbed.wait import until

SECONDS = 30
AGO = re.compile("(just now|[0-9]+.minutes? ago)")


def test_an_engine_is_tested_saved_and_seen(
    page: Page, stack: Stack, own_engine: Engine, own_containers: Containers
) -> None:
    """A wrong socket is told with what to do, the right one answers, and the host shows its life once it is saved."""
    own_containers.run_web("web", labels=quick())
    name = own_containers.name("web")
    fill_in(page, "edge", "unix:///nonexistent/edge.sock")
    expect(answer(page)).to_contain_text("there is no socket /nonexistent/edge.sock: start the engine")
    page.fill("[name=address]", own_engine.host)
    page.get_by_role("button", name="Test the connection").click()
    expect(answer(page)).to_contain_text("answered in")
    expect(answer(page)).to_contain_text("1 container")
    assert stack.rows("SELECT * FROM healing_host WHERE name = 'edge'") == []

    page.get_by_role("button", name="Save", exact=True).click()
    page.wait_for_url("**/healing/host/")
    stack.wait_known(name, timeout=SECONDS)
    container = stack.rows("SELECT c.engine_id FROM healing_container c WHERE c.name = ?", name)[0]
    own_containers.client.restart(container["engine_id"], timeout=1)
    seen = (
        "SELECT * FROM healing_host WHERE name = 'edge' AND last_event_at IS NOT NULL AND latency IS NOT NULL"
    )
    until(lambda: stack.rows(seen), SECONDS, "the watcher has seen an event of it")
    version = own_containers.client.version()["Version"]
    page.goto("/admin/healing/host/")
    row = page.locator("#result_list tbody tr", has_text="edge")
    columns = {"state": "up", "containers": "1", "engine": f"docker {version}"}
    for column, shown in columns.items():
        expect(row.locator(f".field-{column}_shown")).to_contain_text(shown, ignore_case=True)
    expect(row.locator(".field-latency_shown")).to_have_text(re.compile(r"[\d.]+ m?s"))
    expect(row.locator(".field-event_shown")).to_have_text(AGO)
    row.get_by_role("link", name="edge").click()
    form = page.locator("#host_form")
    for text in (version, "1 registered", re.compile(rf"m?s, measured {AGO.pattern}")):
        expect(form).to_contain_text(text)


def fill_in(page: Page, name: str, address: str) -> None:
    """Type a new host and press the button that tests it."""
    page.goto("/admin/healing/host/add/")
    page.fill("[name=name]", name)
    page.fill("[name=address]", address)
    page.get_by_role("button", name="Test the connection").click()


def answer(page: Page) -> Locator:
    return page.locator("#sh-connection")
