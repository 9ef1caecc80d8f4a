"""The system's Chromium, driven by Playwright."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, Page, Request, sync_playwright

from tests.testbed.paths import needed

PAGE_SECONDS = 30


class _Errors:
    """What the scripts of a page throw; a page one of whose scripts was cut off on its way says nothing about them."""

    def __init__(self, page: Page) -> None:
        self._thrown: list[tuple[str, str]] = []
        self._cut_off: set[str] = set()
        page.on("pageerror", lambda error: self._thrown.append((page.url, str(error))))
        page.on("requestfailed", self._note)

    def _note(self, failed: Request) -> None:
        if failed.resource_type == "script":
            print(f"cut off: {failed.url} of {failed.frame.url}: {failed.failure}")
            self._cut_off.add(failed.frame.url)

    @property
    def thrown(self) -> list[tuple[str, str]]:
        return [(page, error) for page, error in self._thrown if page not in self._cut_off]


@contextmanager
def signed_in(browser: Browser, site: str, password: str, *, width: int, height: int) -> Iterator[Page]:
    """A page of the user `admin`, who has logged in through the form of `site` (http://host:port).

    An error in any script of any page fails the test. A page that is left while it loads lacks some of its scripts, so the
    front page is waited for by its whole address: the form's ends with the same words.
    """
    context = browser.new_context(viewport={"width": width, "height": height}, base_url=site)
    context.set_default_timeout(PAGE_SECONDS * 1000)
    page = context.new_page()
    errors = _Errors(page)
    page.goto("/admin/")
    page.fill("[name=username]", "admin")
    page.fill("[name=password]", password)
    page.press("[name=password]", "Enter")
    page.wait_for_url(f"{site}/admin/")
    yield page
    page.wait_for_load_state()
    context.close()
    assert errors.thrown == [], errors.thrown


@contextmanager
def chromium() -> Iterator[Browser]:
    """A headless browser.

    Playwright runs an event loop in this thread, so Django's guard against database calls from one is lifted meanwhile.
    """
    guard = os.environ.get("DJANGO_ALLOW_ASYNC_UNSAFE")
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=needed("chromium", "chromium"),
                args=["--no-sandbox", "--disable-dev-shm-usage"],
            )
            try:
                yield browser
            finally:
                browser.close()
    finally:
        if guard is None:
            del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]
        else:
            os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = guard
