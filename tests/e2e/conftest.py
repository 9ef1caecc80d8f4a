"""A Selfheal that runs, and a browser that is signed in to it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page

from tests.scenarios.stack import Stack, running
from tests.testbed.browser import chromium, signed_in


@pytest.fixture
def stack() -> Iterator[Stack]:
    """One that has found no Docker engine by itself."""
    with running("embedded", "unix:///nonexistent/docker.sock") as started:
        yield started


@pytest.fixture
def page(stack: Stack) -> Iterator[Page]:
    """Signed in with the generated password; an error in any script fails the test."""
    password = (stack.home / "admin_password").read_text().strip()
    with (
        chromium() as browser,
        signed_in(browser, f"http://127.0.0.1:{stack.port}", password, width=1280, height=900) as page,
    ):
        yield page
