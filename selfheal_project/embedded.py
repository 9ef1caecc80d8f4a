"""Everything in one process: web, Celery workers, beat, the watcher and the sweeper, each in a thread of its own."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial

import uvicorn
from celery import Celery
from celery.beat import Service
from celery.worker import WorkController
from celery.worker import state as worker_state

from selfheal_project.memory_broker import stop_waiting
from selfheal_project.up.signals import stop_on_signals

logger = logging.getLogger(__name__)

STOP_SECONDS = 5.0
WORKERS = {"heal": ("heal", 8), "checks": ("checks", 4), "other": ("alerts,default", 2)}
"""Worker -> (its queues, its threads): apart, so that a heal never waits behind checks."""


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the process: `run` returns only after `stop` was called."""

    name: str
    run: Callable[[], None]
    stop: Callable[[], None]


@dataclass(slots=True)
class Supervisor:
    """Runs parts in threads until it is told to stop or one of them ends by itself."""

    parts: Sequence[Part]
    stop_seconds: float = STOP_SECONDS
    stopping: threading.Event = field(default_factory=threading.Event)
    dead: list[str] = field(default_factory=list)
    threads: list[threading.Thread] = field(default_factory=list)

    def run(self) -> list[str]:
        """Block until the end; return the names of the parts that died: none after a stop that was asked for."""
        for part in self.parts:
            thread = threading.Thread(target=self._guard, args=(part,), name=part.name, daemon=True)
            self.threads.append(thread)
            thread.start()
        self.stopping.wait()
        self._stop_parts()
        return self.dead

    def still_running(self) -> list[str]:
        return [thread.name for thread in self.threads if thread.is_alive()]

    def _guard(self, part: Part) -> None:
        error: BaseException | None = None
        try:
            part.run()
        except BaseException as caught:
            error = caught
        if not self.stopping.is_set():
            self.dead.append(part.name)
            message = "The part %r has ended unexpectedly (%s); Selfheal stops."
            cause = repr(error) if error else "it returned"
            extra = {"action": "part_died", "part": part.name}
            logger.critical(message, part.name, cause, exc_info=error, extra=extra)
            self.stopping.set()

    def _stop_parts(self) -> None:
        deadline = time.monotonic() + self.stop_seconds
        for part in self.parts:
            part.stop()
        for thread in self.threads:
            thread.join(max(0.0, deadline - time.monotonic()))


def run(listener: socket.socket) -> int:
    """Run everything until SIGTERM or Ctrl-C; the web pages answer on `listener`. Return the exit status.

    A task that does not end in time is left behind: its heal is in the database and goes on at the next start.
    """
    supervisor = Supervisor(build_parts(listener))
    with stop_on_signals(supervisor.stopping):
        dead = supervisor.run()
    left = supervisor.still_running()
    logger.info("stopped", extra={"action": "stopped", "left_behind": ",".join(left) or "nothing"})
    if left:
        # The interpreter would wait for the threads of the pools, however long their tasks take.
        logging.shutdown()
        os._exit(1 if dead else 0)
    return 1 if dead else 0


def build_parts(listener: socket.socket) -> list[Part]:
    """All parts of the one process."""
    from selfheal_project.celery import app

    return [web_part(listener), *worker_parts(app), beat_part(app), watch_part(), sweep_part()]


class _Server(uvicorn.Server):
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        logger.info("web is up", extra={"action": "web_up"})


def web_part(listener: socket.socket) -> Part:
    """The web pages, on a socket that is bound already."""
    config = uvicorn.Config(
        "selfheal_project.asgi:application",
        lifespan="off",
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=2,
    )
    server = _Server(config)

    def stop() -> None:
        server.should_exit = True

    return Part("web", partial(server.run, [listener]), stop)


def worker_parts(app: Celery) -> list[Part]:
    """The workers. Stopping one stops all: Celery has one flag for that in a process."""
    vars(worker_state)["should_stop"] = None
    # Which queues a worker takes is a setting of the app while it starts, so they start one after another.
    starting = threading.Lock()
    return [
        Part(f"worker-{name}", partial(_run_worker, app, name, queues, threads, starting), _stop_workers)
        for name, (queues, threads) in WORKERS.items()
    ]


def _run_worker(app: Celery, name: str, queues: str, threads: int, starting: threading.Lock) -> None:
    with ExitStack() as turn:
        turn.enter_context(starting)
        worker = WorkController(
            app=app,
            hostname=f"{name}@{socket.gethostname()}",
            queues=queues,
            pool="threads",
            concurrency=threads,
            ready_callback=lambda _: turn.close(),
            without_gossip=True,
            without_mingle=True,
            without_heartbeat=True,
        )
        worker.start()


def _stop_workers() -> None:
    vars(worker_state)["should_stop"] = 0
    stop_waiting()


def beat_part(app: Celery) -> Part:
    """Beat, with the schedule in the database."""
    # An interval of one second at most, because beat sleeps through a stop.
    service = Service(app, max_interval=1, scheduler_cls=app.conf.beat_scheduler)
    return Part("beat", service.start, service.stop)


def watch_part() -> Part:
    """The watcher of all engines' event streams."""
    from healing import watchers

    stopping = threading.Event()
    return Part("watch", partial(watchers.run, None, stopping), stopping.set)


def sweep_part() -> Part:
    """The sweeper, and with it the dead-man's switch."""
    from healing import sweeper

    stopping = threading.Event()
    return Part("sweep", partial(sweeper.run, (), stopping, few=True), stopping.set)
