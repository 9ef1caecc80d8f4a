"""From the evidence of one failed container to a cause that a person understands. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from healing.core import lifecycle
from healing.core.evidence import LOG_LINES, Evidence, facts, image_change
from healing.core.exitcodes import meaning, signal_of
from healing.core.types import (
    ActionKind,
    AlertLevel,
    EngineHealth,
    EngineState,
    FailureType,
    ProbeVerdict,
)

PARENT_REPLACED = "network parent replaced"
PARENT_GONE = "network parent gone"
CAME_BACK = "dependency came back"


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """`cause` is a short stable phrase, `summary` a sentence. `may_act` False: restarting is not ours or cannot help.

    `max_attempts` limits attempts below the budget where a restart hardly helps. `level` is the alert's, `action`
    what is to be done about it.
    """

    cause: str
    summary: str
    failure_type: FailureType
    level: AlertLevel = AlertLevel.WARNING
    may_act: bool = True
    why_not: str = ""
    max_attempts: int | None = None
    action: ActionKind = ActionKind.RESTART
    evidence: Mapping[str, Any] = field(default_factory=dict)


_TEXT_CAUSES: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("disk full", re.compile(r"no space left on device|disk quota exceeded|\bENOSPC\b", re.I)),
    (
        "port in use",
        re.compile(r"port is already allocated|address already in use|\bEADDRINUSE\b|bind.*in use", re.I),
    ),
    ("missing image", re.compile(r"no such image|image .*not found|manifest unknown", re.I)),
    (
        "command not found",
        re.compile(
            r"executable file not found|no such file or directory: unknown|exec.*not found|: not found$", re.I
        ),
    ),
)


_HELD = re.compile(
    r"\btask \S+ already exists|\.runtime\.\S+: file exists|container with (given )?id (already )?exists",
    re.I,
)
"""What containerd, or runc, says where an earlier start of the same container was cut short, such as by the engine's death."""

_OWN_WORDS = ("missing image", "command not found")
"""Causes that a program's own log lines cannot tell: it may have looked for a file or a row of its own."""


def diagnose(evidence: Evidence) -> Diagnosis:
    """The most specific cause that the evidence supports; the first rule that applies wins."""
    for rule in _RULES:
        found = rule(evidence)
        if found is not None:
            return _with_evidence(found, evidence)
    raise AssertionError("the last rule always applies")


def _dead(evidence: Evidence) -> Diagnosis | None:
    if evidence.snapshot.state is not EngineState.DEAD:
        return None
    error = evidence.snapshot.error or "the engine names no error"
    return Diagnosis(
        "dead",
        f"The engine has given this container up ({error}). Remove and recreate it.",
        FailureType.CONTAINER_ERROR,
        AlertLevel.ERROR,
        may_act=False,
        why_not="a dead container cannot be started (the engine answers 409)",
    )


def _network_parent(evidence: Evidence) -> Diagnosis | None:
    parent = evidence.network_parent
    if parent is None:
        return None
    shared = f"the network of container {parent.old[:12]}{f' ({parent.name})' if parent.name else ''}"
    if parent.new:
        return Diagnosis(
            PARENT_REPLACED,
            f"It shares {shared}, which was replaced by {parent.new[:12]}; a restart would fail.",
            FailureType.CONTAINER_ERROR,
            action=ActionKind.RECREATE,
        )
    return Diagnosis(
        PARENT_GONE,
        f"It shares {shared}, which is gone, and it is not known what has taken its place. Recreate it by hand.",
        FailureType.CONTAINER_ERROR,
        AlertLevel.ERROR,
        may_act=False,
        why_not="the container whose network it shares is gone",
    )


def _came_back(evidence: Evidence) -> Diagnosis | None:
    if not evidence.came_back:
        return None
    text = (
        f"{evidence.came_back} has come back from a failure, and this container is restarted along with it."
    )
    return Diagnosis(CAME_BACK, text, evidence.failure_type)


def _engine_loop(evidence: Evidence) -> Diagnosis | None:
    snapshot = evidence.snapshot
    if snapshot.state is not EngineState.RESTARTING and not (
        snapshot.is_running and snapshot.restart_policy.name in ("always", "unless-stopped", "on-failure")
    ):
        return None
    if not lifecycle.is_crash_loop(evidence.status, evidence.now):
        return None
    how = "" if snapshot.is_running else f" ({meaning(snapshot.exit_code)})"
    text = f"It ends soon after every start{how}; the engine keeps restarting it."
    return Diagnosis(
        "crash loop",
        text,
        FailureType.CONTAINER_ERROR,
        AlertLevel.ERROR,
        may_act=False,
        why_not=f"the engine's own restart policy ({snapshot.restart_policy.name}) is still at work",
    )


def _out_of_memory(evidence: Evidence) -> Diagnosis | None:
    if not evidence.snapshot.oom_killed or evidence.snapshot.is_running:
        return None
    limit = evidence.snapshot.memory_limit
    text = (
        f"Out of memory: the kernel killed it at its limit of {_size(limit)}." if limit else "Out of memory."
    )
    return Diagnosis("out of memory", text, FailureType.CONTAINER_ERROR)


def _held_by_engine(evidence: Evidence) -> Diagnosis | None:
    line = next((t for t in (evidence.start_error, evidence.snapshot.error) if t and _HELD.search(t)), None)
    if line is None or evidence.snapshot.is_running:
        return None
    text = f"The engine still holds an earlier start of it ({_quoted(line)}). Remove and recreate it: no restart helps."
    return Diagnosis("held by its engine", text, FailureType.CONTAINER_ERROR, AlertLevel.ERROR)


def _text_cause(evidence: Evidence) -> Diagnosis | None:
    snapshot = evidence.snapshot
    engines, programs = [evidence.start_error, snapshot.error], []
    if snapshot.state is EngineState.EXITED and snapshot.exit_code != 0:
        programs = list(evidence.logs[-LOG_LINES:])
    elif snapshot.health is EngineHealth.UNHEALTHY and snapshot.health_log:
        programs = [snapshot.health_log[-1].output]
    for cause, pattern in _TEXT_CAUSES:
        tells = cause not in _OWN_WORDS or snapshot.exit_code in (126, 127)
        line = next((t for t in [*engines, *(programs if tells else [])] if t and pattern.search(t)), None)
        if line is not None:
            return _named(cause, line, evidence)
    return None


def _named(cause: str, line: str, evidence: Evidence) -> Diagnosis:
    quoted = _quoted(line)
    if cause == "disk full":
        return Diagnosis(
            cause,
            f"A disk is full: {quoted}. Free space; a restart hardly helps.",
            FailureType.CONTAINER_ERROR,
            AlertLevel.CRITICAL,
            max_attempts=1,
        )
    kind = evidence.failure_type
    if evidence.start_error or evidence.snapshot.error:
        kind = FailureType.CONTAINER_ERROR
    return Diagnosis(cause, f"{cause.capitalize()}: {quoted}", kind)


def _quoted(line: str) -> str:
    return " ".join(line.split())[:300]


def _crash_loop(evidence: Evidence) -> Diagnosis | None:
    if evidence.snapshot.state is not EngineState.EXITED:
        return None
    loops = lifecycle.quick_exits(evidence.status, evidence.now)
    if max(loops, evidence.attempts_in_row) < lifecycle.LOOP_EXITS or loops == 0:
        return None
    text = f"Crash loop: it has ended {loops} time{'s' * (loops != 1)} soon after its start ({meaning(evidence.snapshot.exit_code)})."
    return Diagnosis("crash loop", text, evidence.failure_type, AlertLevel.ERROR)


def _command_missing(evidence: Evidence) -> Diagnosis | None:
    if evidence.snapshot.is_running or evidence.snapshot.exit_code not in (126, 127):
        return None
    return Diagnosis(
        "command not found", _sentence(meaning(evidence.snapshot.exit_code)), evidence.failure_type
    )


def _interrupted(evidence: Evidence) -> Diagnosis | None:
    if evidence.status.interrupted_at is None or evidence.snapshot.is_running:
        return None
    text = f"It stopped together with its engine ({meaning(evidence.snapshot.exit_code)}) and was not started again."
    return Diagnosis("stopped with its engine", text, evidence.failure_type)


def _exited(evidence: Evidence) -> Diagnosis | None:
    snapshot = evidence.snapshot
    if snapshot.is_running or snapshot.state is EngineState.RESTARTING:
        return None
    number = signal_of(snapshot.exit_code)
    if number == 9:
        return Diagnosis(
            "killed", "Killed from outside the engine (SIGKILL), not out of memory.", evidence.failure_type
        )
    if number is not None:
        return Diagnosis("killed", _sentence(meaning(snapshot.exit_code)), evidence.failure_type)
    return Diagnosis(
        f"exit code {snapshot.exit_code}", _sentence(meaning(snapshot.exit_code)), evidence.failure_type
    )


def _health_check(evidence: Evidence) -> Diagnosis | None:
    if evidence.snapshot.health is not EngineHealth.UNHEALTHY:
        return None
    entry = evidence.snapshot.health_log[-1] if evidence.snapshot.health_log else None
    output = " ".join(entry.output.split())[:500] if entry else ""
    text = f"Its HEALTHCHECK fails{f' with exit code {entry.exit_code}' if entry else ''}"
    return Diagnosis(
        "health check failing", f"{text}: {output}" if output else f"{text}.", evidence.failure_type
    )


def _probe(evidence: Evidence) -> Diagnosis | None:
    failed = [probe for probe in evidence.probes if probe.verdict is ProbeVerdict.FAILED]
    if not failed:
        return None
    hung = next((probe for probe in failed if probe.hung), None)
    if hung is not None:
        return Diagnosis(
            "hung", f"Hung: the port is open, and no answer comes ({hung.message}).", evidence.failure_type
        )
    text = "; ".join(f"{probe.name}: {probe.message}" for probe in failed)
    return Diagnosis("probe failing", _sentence(text), evidence.failure_type)


def _as_detected(evidence: Evidence) -> Diagnosis:
    return Diagnosis("unknown", _sentence(evidence.detected_message), evidence.failure_type)


_RULES = (
    _dead,
    _network_parent,
    _came_back,
    _engine_loop,
    _held_by_engine,
    _out_of_memory,
    _text_cause,
    _crash_loop,
    _command_missing,
    _interrupted,
    _exited,
    _health_check,
    _probe,
    _as_detected,
)


def _with_evidence(diagnosis: Diagnosis, evidence: Evidence) -> Diagnosis:
    image = image_change(evidence)
    level, summary = diagnosis.level, diagnosis.summary
    if image:
        summary = f"{summary} The image was changed shortly before."
        level = max(level, AlertLevel.ERROR, key=list(AlertLevel).index)
    known = facts(evidence) | ({"image_change": image} if image else {})
    return replace(diagnosis, summary=summary, level=level, evidence=known)


def _sentence(text: str) -> str:
    text = text.strip()
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")


def _size(number: int) -> str:
    for unit in ("B", "KiB", "MiB"):
        if number < 1024:
            return f"{number:g} {unit}"
        number //= 1024
    return f"{number:g} GiB"
