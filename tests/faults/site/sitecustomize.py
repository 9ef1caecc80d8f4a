"""Runs at the start of every Python process of a faulted installation: carries out orders, changes nothing else.

An order is a file in FAULT_ORDERS. It names the `action` of a log record and what happens to the process that is about to
write that record: killed, stopped, or its thread made to wait. With FAULT_DELIVERIES=3 every task is sent three times.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import time

_ORDERS = os.environ.get("FAULT_ORDERS", "")
_DELIVERIES = int(os.environ.get("FAULT_DELIVERIES", "1"))
_is_enabled, _handle = logging.Logger.isEnabledFor, logging.Logger.handle


def _enabled(self: logging.Logger, level: int) -> bool:
    """The product's own records are made at every level, so that each is a point at which something can happen."""
    return self.name.startswith(("healing.", "notifications.")) or _is_enabled(self, level)


def _meet(self: logging.Logger, record: logging.LogRecord) -> None:
    if hasattr(record, "action"):
        _obey(record)
    if record.levelno >= self.getEffectiveLevel():
        _handle(self, record)


def _obey(record: logging.LogRecord) -> None:
    for name in sorted(os.listdir(_ORDERS)):
        if not name.endswith(".order"):
            continue
        path = os.path.join(_ORDERS, name)
        with contextlib.suppress(FileNotFoundError):
            with open(path) as file:
                order = json.load(file)
            if _meant(order, record):
                if order["once"]:
                    os.rename(path, f"{path}.done")  # of several that come here at once, one gets it
                _carry_out(order, path)


def _meant(order: dict[str, object], record: logging.LogRecord) -> bool:
    where: dict[str, object] = order["where"]  # type: ignore[assignment]
    same = all(str(getattr(record, name, None)) == str(value) for name, value in where.items())
    return order["action"] == record.action and same  # type: ignore[attr-defined]


def _carry_out(order: dict[str, object], path: str) -> None:
    with open(f"{path}.struck-{time.time_ns()}-{os.getpid()}", "w"):
        pass
    match order["do"]:
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "stop":
            os.kill(os.getpid(), signal.SIGSTOP)
    # Another thread may take the signal first: nothing must get past this point meanwhile.
    time.sleep(float(order["seconds"]))  # type: ignore[arg-type]


def _send_often(times: int) -> None:
    from kombu.messaging import Producer

    publish = Producer.publish

    def repeated(self: Producer, body: object, *args: object, **options: object) -> object:
        is_task = "task" in (options.get("headers") or {})  # type: ignore[operator]
        for _ in range(times - 1 if is_task else 0):
            publish(self, body, *args, **options)
        return publish(self, body, *args, **options)

    Producer.publish = repeated


if _ORDERS:
    logging.Logger.isEnabledFor = _enabled  # type: ignore[method-assign]
    logging.Logger.handle = _meet  # type: ignore[method-assign]
if _DELIVERIES > 1:
    _send_often(_DELIVERIES)
