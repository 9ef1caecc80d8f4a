"""The services of the demo, how each is broken, and how each has to end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from healing.core.types import FailureType

PROBED = "api"
"""The service that an own probe looks at; where it listens depends on the engine."""


@dataclass(frozen=True, slots=True)
class Service:
    """One service. Its scripts run in `sh` with $DIR, a folder of its own that outlives restarts.

    `script` is the main process, `healthcheck` (run each second) may be empty, `sabotage` is run beside it.
    """

    name: str
    sabotaged_by: str
    script: str
    sabotage: str
    expected: FailureType
    healthcheck: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    can_recover: bool = True


_WAIT = "trap 'kill -9 $child; exit 0' TERM; echo $child >\"$DIR/child\"; wait $child"
_PATIENT = {"selfheal.check_interval": "1", "selfheal.backoff_initial": "1"}

SERVICES = (
    Service(
        name="shop",
        sabotaged_by="its health check is made to fail",
        script=f'touch "$DIR/ready"; sleep 100000 & child=$!; {_WAIT}',
        healthcheck='test -f "$DIR/ready" || { echo "cannot reach the cart database"; exit 1; }',
        sabotage='rm "$DIR/ready"',
        expected=FailureType.HEALTH_CHECK_FAILED,
        labels=_PATIENT,
    ),
    Service(
        name="worker",
        sabotaged_by="its process is killed (SIGKILL)",
        script=f"sleep 100000 & child=$!; {_WAIT}; exit $?",
        healthcheck='test -s "$DIR/child"',  # well to the end: a check between the kill and the exit would tell another story
        sabotage='kill -9 "$(cat "$DIR/child")"',
        expected=FailureType.CONTAINER_STOPPED,
        labels=_PATIENT,
    ),
    Service(
        name="importer",
        sabotaged_by="it fails and exits with 1",
        script='trap "exit 0" TERM; until test -e "$DIR/bad-row"; do sleep 0.1; done; rm "$DIR/bad-row"; '
        'echo "fatal: row 4711 has no price" >&2; exit 1',
        sabotage='touch "$DIR/bad-row"',
        expected=FailureType.CONTAINER_STOPPED,
        labels=_PATIENT,
    ),
    Service(
        name=PROBED,
        sabotaged_by="it hangs: port open, no answer",
        script=f"$SERVER & child=$!; {_WAIT}",
        sabotage='kill -STOP "$(cat "$DIR/child")"',
        expected=FailureType.HEALTH_CHECK_FAILED,
        labels={**_PATIENT, "selfheal.check_timeout": "1", "selfheal.failure_threshold": "2"},
    ),
    Service(
        name="ledger",
        sabotaged_by="its data is spoilt: it crashes at every start",
        script='trap "exit 0" TERM; until test -e "$DIR/spoilt"; do sleep 0.1; done; '
        'echo "fatal: the ledger is corrupt" >&2; exit 1',
        sabotage='touch "$DIR/spoilt"',
        expected=FailureType.CONTAINER_STOPPED,
        labels={**_PATIENT, "selfheal.max_restarts": "2", "selfheal.restart_window": "60"},
        can_recover=False,
    ),
)
