"""Alerting in a real browser, on a Selfheal that runs: a channel that is tested before it is saved, and an alert's way."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.contract.channels.receiver import Receiver, receiving
from tests.scenarios.stack import Stack


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as started:
        yield started


def test_a_channel_is_tested_saved_and_on_the_way_of_an_alert(
    page: Page, stack: Stack, receiver: Receiver
) -> None:
    """The form of a chosen kind sends a test to a real receiver, the row's menu another, and the new channel is found where
    an alert would go.
    """
    page.goto("/admin/notifications/channel/add/")
    page.locator('a[href*="kind=webhook"]').click()
    page.fill("[name=name]", "hook")
    page.fill("[name=setting_url]", f"{receiver.url}/secret-path")
    page.get_by_role("button", name="Test with these values").click()
    answer = page.locator("#sh-connection")
    expect(answer).to_contain_text("may not call private addresses")
    page.locator("[name=allow_private]").check()
    page.get_by_role("button", name="Test with these values").click()
    expect(answer).to_contain_text("Sent. The answer was: 200 thanks")
    assert stack.rows("SELECT * FROM notifications_channel WHERE name = 'hook'") == []
    page.get_by_role("button", name="Save", exact=True).click()
    page.wait_for_url("**/notifications/channel/")

    row = page.locator("#result_list tbody", has_text="hook")
    row.locator(".field-actions_holder span").first.click()
    page.locator("nav:visible a", has_text="Send a test").click()
    page.get_by_role("button", name="Send", exact=True).click()
    expect(page.get_by_text("hook: sent, and the answer was: 200 thanks")).to_be_visible()
    assert len(receiver.requests) == 2
    page.get_by_role("link", name="hook", exact=True).click()
    expect(page.locator("[name=setting_url]")).to_have_value("")

    page.goto("/admin/notifications/route/")
    page.get_by_role("link", name="Try an alert").click()
    page.fill("[name=alertname]", "container_failed")
    page.fill("[name=host]", "node-1")
    page.get_by_role("button", name="Try", exact=True).click()
    explained = page.locator("#explanation")
    expect(explained).to_contain_text("It would be told on hook, log.")
    expect(explained.locator('[data-route="everything"]')).to_contain_text("takes")
