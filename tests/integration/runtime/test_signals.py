"""Signals as an event: seen whatever the main thread is doing, and only as long as they are wanted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import pytest

from selfheal_project.up.signals import stop_on_signals
from tests.testbed.paths import PROJECT


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_sets_the_event_and_the_old_handlers_come_back(number: signal.Signals) -> None:
    """Both ways to stop are one event; afterwards everything is as before."""
    before = signal.getsignal(number)
    stopping = threading.Event()
    with stop_on_signals(stopping):
        os.kill(os.getpid(), number)
        assert stopping.wait(10)
    assert signal.getsignal(number) is before
    assert signal.set_wakeup_fd(-1) == -1


def test_a_main_thread_that_sleeps_in_a_lock_is_no_obstacle() -> None:
    """A signal that another thread receives is not lost while the main thread waits without a timeout."""
    script = (
        "import signal, threading\n"
        "from selfheal_project.up.signals import stop_on_signals\n"
        "stopping = threading.Event()\n"
        "to_itself = lambda: signal.pthread_kill(threading.get_ident(), signal.SIGTERM)\n"
        "with stop_on_signals(stopping):\n"
        "    threading.Timer(0.3, to_itself).start()\n"
        "    stopping.wait()\n"
        "print('stopped')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=PROJECT, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "stopped\n"


def test_the_third_signal_ends_the_process_at_once() -> None:
    """Who insists is obeyed, even when stopping hangs."""
    script = (
        "import signal, threading, time\n"
        "from selfheal_project.up.signals import stop_on_signals\n"
        "with stop_on_signals(threading.Event()):\n"
        "    for _ in range(3):\n"
        "        signal.raise_signal(signal.SIGTERM)\n"
        "    threading.Lock().acquire()\n"
        "    time.sleep(60)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=PROJECT, timeout=60, check=False)
    assert done.returncode == 128 + signal.SIGTERM
