"""Flower beside a running Selfheal: closed without its password, and showing a heal's tasks by name with it."""

from __future__ import annotations

import base64
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from tests.scenarios.labels import quick
from tests.scenarios.stack import Stack, running
from tests.testbed import faults
from tests.testbed.containers import Containers
from tests.testbed.engine import Engine
from tests.testbed.wait import until

TICK = "healing.tasks.dispatch_checks"
CHAIN = (
    "healing.tasks.check_containers",
    "healing.tasks.diagnose",
    "healing.tasks.restart",
    "healing.tasks.verify",
)
SECONDS = 60
USER = "selfheal"


@pytest.fixture
def stack(own_engine: Engine) -> Iterator[Stack]:
    with running("production", own_engine.host) as started:
        yield started


def ask(stack: Stack, path: str, password: str = "") -> Any:
    """What Flower's API answers."""
    request = urllib.request.Request(f"http://127.0.0.1:{stack.flower_port}{path}")
    if password:
        token = base64.b64encode(f"{USER}:{password}".encode()).decode()
        request.add_header("Authorization", f"Basic {token}")
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def names_shown(stack: Stack, password: str) -> set[str]:
    """Names of the tasks that Flower has seen."""
    return {task["name"] for task in ask(stack, "/api/tasks?limit=500", password).values()}


def test_flower_shows_the_chain_of_a_heal(stack: Stack, own_containers: Containers) -> None:
    """Every stage of a heal is seen in Flower under its own name; nothing is seen without the password."""
    password = (stack.home / "flower_password").read_text().strip()
    container, name = own_containers.run_web("web", labels=quick()), own_containers.name("web")
    stack.wait_known(name, timeout=SECONDS)
    until(lambda: TICK in names_shown(stack, password), SECONDS, "Flower listens, and shows the tick", 0.5)
    own_containers.exec(container, faults.BREAK_HEALTH)
    until(lambda: stack.found(name).get("action_result") == "success", SECONDS, "it is healed")
    until(
        lambda: names_shown(stack, password).issuperset(CHAIN), SECONDS, "Flower shows every stage of it", 0.5
    )
    for wrong in ("", "wrong"):
        with pytest.raises(urllib.error.HTTPError, match="401"):
            ask(stack, "/api/tasks", wrong)
