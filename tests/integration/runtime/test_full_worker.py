"""A worker all of whose threads are at work takes no message, and is not dead for that."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from types import SimpleNamespace
from typing import Any

import pytest
from django.utils import timezone

from healing import tasks
from healing.core.types import FailureType
from healing.models import Container, Host, Stage
from healing.pipeline import liveness
from healing.store import heals, queues, worker_signs
from healing.store.worker_signs import LONGEST_CHECK, Keeping
from tests.integration.runtime.signing import World
from tests.integration.runtime.test_liveness import watching


@pytest.fixture(autouse=True)
def steady(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The steady clock is moved with the world's; nothing is written but by `run`."""
    moved = SimpleNamespace(monotonic=lambda: timezone.now().timestamp())
    monkeypatch.setattr(worker_signs, "time", moved)


def run(world: World, keeping: Keeping, seconds: float) -> None:
    """Let so much time pass, in which the process that keeps these signs lives and no canary gets through to `heal`."""
    world.silent = {"canary:heal"}
    for _ in range(round(seconds / 3)):
        world.run(3)
        keeping.write(timezone.now())


def is_alive() -> bool:
    now = timezone.now()
    return next(part for part in liveness.parts(now) if part.name == "queue:heal").is_alive(now)


@pytest.fixture
def others_work() -> Iterator[Callable[[Keeping, int], None]]:
    """Has so many other threads be at work."""
    with ExitStack() as stack:

        def begin(keeping: Keeping, number: int) -> None:
            pool, together = stack.enter_context(ThreadPoolExecutor(number)), threading.Barrier(number)

            def work(_: int) -> None:
                keeping.work("heal")
                together.wait()

            list(pool.map(work, range(number)))

        yield begin


def test_a_worker_that_is_full_lives(world: World) -> None:
    """Slow engines keep all of its threads: nobody is woken for it, and no message is held back."""
    world.run(3)
    keeping, observer = Keeping(), watching()
    keeping.work("heal")
    for _ in range(14):
        run(world, keeping, 3)
        observer.look()
    assert is_alive()
    assert queues.is_served("heal", timezone.now())
    assert world.told() == []


def test_a_worker_that_has_died_full_is_told_in_time(world: World) -> None:
    """Nobody signs for it any more."""
    world.run(3)
    keeping, observer = Keeping(), watching()
    keeping.work("heal")
    run(world, keeping, 42)
    world.run(18, observer)
    assert world.told() == []
    world.run(9, observer)
    assert world.told() == [("self:queue:heal", "firing")]


def test_a_thread_that_is_free_would_have_taken_the_canary(
    world: World, others_work: Callable[[Keeping, int], None]
) -> None:
    """A worker that is cut off from the broker in the middle of one long call is as dead as another."""
    world.run(3)
    keeping = Keeping(threads=2)
    keeping.work("heal")
    run(world, keeping, 30)
    assert not is_alive()
    others_work(keeping, 1)
    run(world, keeping, 30)
    assert is_alive()


def test_threads_that_hang_are_told(world: World) -> None:
    """After the longest that their work may take, and the silence of any other part."""
    world.run(3)
    keeping = Keeping()
    keeping.work("heal")
    run(world, keeping, LONGEST_CHECK + 15)
    assert is_alive()
    run(world, keeping, 9)
    assert not is_alive()


def test_one_thread_that_hangs_does_not_make_the_others_dead(
    world: World, others_work: Callable[[Keeping, int], None]
) -> None:
    """What it leaves of the worker is full of work that is younger."""
    world.run(3)
    keeping = Keeping(threads=2)
    keeping.work("heal")
    run(world, keeping, LONGEST_CHECK + 9)
    others_work(keeping, 1)
    run(world, keeping, 60)
    assert is_alive()


def test_a_call_with_a_long_stop_timeout_does_not_hang(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its claim says how long it may take; the one who writes that is the one who works."""
    world.run(3)
    keeping = Keeping()
    monkeypatch.setattr(worker_signs, "_keeping", keeping)
    container = Container.objects.create(host=Host.objects.get(), name="web", engine_id="web")
    heals.open_failure(container, timezone.now(), failure_type=FailureType.HEALTH_CHECK_FAILED)
    failure = heals.claim(container.failures.get().pk, Stage.DIAGNOSE, 60.0)
    assert failure is not None
    keeping.work("heal")
    heals.extend(failure, 600.0)
    run(world, keeping, 600)
    assert is_alive()
    run(world, keeping, 30)
    assert not is_alive()


@pytest.mark.parametrize(
    ("task", "arguments", "does"),
    [
        ("restart", (4711,), "stages.run"),
        ("check_containers", (4711, None, [1]), "check.check_some"),
        ("check_containers", (4711, 0), "worker_signs.held"),
        ("probe_closely", (4711,), "closely.run"),
    ],
    ids=["a stage", "a check of some", "a check of a shard", "probes"],
)
def test_a_task_is_at_work_until_it_ends(
    world: World, monkeypatch: pytest.MonkeyPatch, task: str, arguments: tuple[Any, ...], does: str
) -> None:
    """Also where it ends by an exception."""
    keeping = Keeping()
    monkeypatch.setattr(worker_signs, "_keeping", keeping)
    seen: list[int] = []

    def note(*_: object, **__: object) -> None:
        seen.append(len(keeping._work))
        raise KeyError("defect")

    monkeypatch.setattr(f"healing.tasks.{does}", note)
    with pytest.raises(KeyError):
        getattr(tasks, task).run(*arguments)
    assert (seen, keeping._work) == ([1], {})


def test_a_full_worker_costs_one_statement_a_queue_and_round(
    world: World, others_work: Callable[[Keeping, int], None], django_assert_num_queries: Any
) -> None:
    """However many of its threads are at work, and none while it is not full."""
    keeping = Keeping(threads=16)
    others_work(keeping, 15)
    keeping.write(timezone.now())
    with django_assert_num_queries(0):
        keeping.write(timezone.now())
    others_work(keeping, 1)
    for _ in range(2):
        with django_assert_num_queries(1):
            keeping.write(timezone.now())
