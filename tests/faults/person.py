"""A person at the pages: logged in, and asking for something that Selfheal hands on through the broker."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from selfheal_project.up.admin_user import PASSWORD_FILE
from tests.faults.installation import Installation
from tests.testbed.wait import until

_PATIENCE = 60.0


class Person:
    """`asks_for_a_check` is a request that sends a hint."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def logs_in(self, password: str) -> None:
        page = "/admin/login/"
        self._client.get(page)
        answer = self._post(page, {"username": "admin", "password": password, "next": "/admin/"})
        assert answer.status_code == 302, answer.text[:500]

    def asks_for_a_check(self, container: int) -> tuple[int, float]:
        """Of one container, by its key: the answer's status (0: it failed), and after how many seconds it came."""
        begun = time.monotonic()
        fields = {"action": "check_selected", "_selected_action": str(container)}
        try:
            status = self._post("/admin/healing/container/", fields).status_code
        except httpx.HTTPError:
            status = 0
        return status, time.monotonic() - begun

    def _post(self, page: str, fields: dict[str, str]) -> httpx.Response:
        token = self._client.cookies.get("csrftoken", "")
        return self._client.post(page, data={**fields, "csrfmiddlewaretoken": token})


@contextmanager
def person_at(installation: Installation) -> Iterator[Person]:
    """Logged in at the pages of an installation that has the part `web`."""
    with httpx.Client(base_url=f"http://127.0.0.1:{installation.port}", timeout=_PATIENCE) as client:
        until(lambda: client.get("/healthz").status_code == 200, 60, "the pages answer")
        person = Person(client)
        person.logs_in((installation.home / PASSWORD_FILE).read_text().strip())
        yield person
