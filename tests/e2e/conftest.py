"""A Selfheal that runs, and a browser that is signed in to it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page

from tests.scenarios.stack import Stack, running
from tests.testbed.browser import chromium

SECONDS = 30


@pytest.fixture
def stack() -> Iterator[Stack]:
    """One that has found no Docker engine by itself."""
    with running("embedded", "unix:///nonexistent/docker.sock") as started:
        yield started


@pytest.fixture
def page(stack: Stack) -> Iterator[Page]:
    """Signed in with the generated password; an error in any script fails the test."""
    with chromium() as browser:
        context = browser.new_context(
            viewport={"width": 1280, "height": 900}, base_url=f"http://127.0.0.1:{stack.port}"
        )
        context.set_default_timeout(SECONDS * 1000)
        page = context.new_page()
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto("/admin/")
        page.fill("[name=username]", "admin")
        page.fill("[name=password]", (stack.home / "admin_password").read_text().strip())
        page.press("[name=password]", "Enter")
        page.wait_for_url("**/admin/")
        yield page
        page.wait_for_load_state()  # a page that is closed while it loads lacks some of its scripts
        context.close()
        assert errors == []
