"""The benchmarks in short: they run, and Selfheal is not far off the floor. Loose on purpose, for a busy machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing, nullcontext
from dataclasses import dataclass
from pathlib import Path

import pytest

from benchmarks import idle, latency, picture, report, results, storm, trace
from benchmarks.fault import KINDS, Healed, heal_one
from benchmarks.healers import FLOOR, Peer, Selfheal, healer, read_peer
from benchmarks.latency import Row
from benchmarks.shared_fault import SharedFault
from benchmarks.storm import Entrant, Storm
from tests.testbed.containers import Containers
from tests.testbed.engine import Engine, docker_engine
from tests.testbed.paths import ServiceMissingError

FAULTS = 2
SICK = 10
FAR_OFF = 2.0
SLACK = 0.7
"""Seconds that a busy machine may take from either side of one heal. A healer that polls is seconds behind."""
STORM_SLACK = 10.0
"""Seconds for a storm of ten. Who waits for a back-off, or for the engine's next round after a slow one, is beyond."""
DEBUG = {"SELFHEAL_LOG_FORMAT": "json", "SELFHEAL_LOG_LEVEL": "DEBUG"}


@dataclass
class Measured:
    """What one Selfheal did, beside the floor."""

    samples: dict[tuple[str, str], list[Healed]]
    traces: list[trace.Trace]
    storms: list[Storm]

    def row(self, kind: str, name: str) -> Row:
        return next(row for row in latency.rows(self.samples) if (row.kind, row.healer) == (kind, name))


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    """An engine of this file alone."""
    with ExitStack() as stack:
        try:
            private = stack.enter_context(docker_engine("bench"))
        except ServiceMissingError as error:
            pytest.skip(str(error))
        yield private


@pytest.fixture(scope="module")
def floors(engine: Engine) -> dict[tuple[str, str], list[Healed]]:
    """What the floor did to either kind of fault."""
    return dict(latency.measure(engine.host, latency.Plan(FAULTS, (FLOOR,), turn_back=False)))


@pytest.fixture(scope="module")
def embedded(engine: Engine, floors: dict[tuple[str, str], list[Healed]]) -> Measured:
    """Single faults, with a trace, and a storm, all by one Selfheal: starting it is what takes time."""
    found = Measured(dict(floors), [], [])
    with closing(SharedFault(engine.host, SICK, 2.0)) as field:
        found.storms.append(storm.storm(field, storm.floor(8)))
    with closing(_Made(engine.host)) as made, healer("embedded", engine.host, **DEBUG) as running:
        assert isinstance(running, Selfheal)
        for kind in KINDS:
            heals = [heal_one(made.containers, running, kind, f"{kind}-{n}") for n in range(FAULTS)]
            found.samples[kind, "embedded"] = heals
        unhealthy = found.samples["unhealthy", "embedded"]
        found.traces.append(trace.trace_of(running.stack, unhealthy[0], "unhealthy"))
        with closing(SharedFault(engine.host, SICK, 2.0)) as field:
            found.storms.append(storm.storm(field, Entrant("embedded", lambda _: nullcontext(running))))
    return found


class _Made:
    def __init__(self, host: str) -> None:
        self.containers = Containers(host)
        self.close = self.containers.remove_all


def _limit(row: Row) -> float:
    """So many milliseconds are far off: the floor's, times FAR_OFF, and some for a busy machine."""
    return row.p50 / row.ratio * FAR_OFF + SLACK * 1000


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_fault_is_answered_about_as_fast_as_the_engine_can(kind: str, embedded: Measured) -> None:
    """Between fault and start lies the engine's work, and not a poll, a sleep or a queue of ours."""
    row = embedded.row(kind, "embedded")
    assert row.p50 < _limit(row), latency.table([row])


def test_production_answers_about_as_fast_as_the_engine_can(
    engine: Engine, floors: dict[tuple[str, str], list[Healed]]
) -> None:
    """Several processes, Redis and PostgreSQL between fault and start cost little."""
    plan = latency.Plan(FAULTS, ("production",), ("unhealthy",), turn_back=False)
    samples = {**floors, **latency.measure(engine.host, plan)}
    row = next(row for row in latency.rows(samples) if row.healer == "production")
    assert row.p50 < _limit(row), latency.table([row])


def test_a_storm_is_over_about_as_soon_as_the_engine_can(embedded: Measured) -> None:
    """Ten unhealthy at once are started once each, and the window of heals opens as they are verified."""
    floor, ours = embedded.storms
    assert floor.ended, floor
    assert ours.ended, ours
    assert ours.restarts == SICK
    assert ours.seconds < floor.seconds * FAR_OFF + STORM_SLACK, storm.table([floor, ours])


def test_a_trace_shows_every_step_of_a_heal(embedded: Measured) -> None:
    """The records and times that a trace is made of are written, and in their order."""
    (found,) = embedded.traces
    assert set(found) == set(trace.STEPS)
    steps = [
        "event received by the watcher",
        "evidence is gathered",
        "guard has passed",
        "engine has started it",
        "verified",
    ]
    assert [found[step] for step in steps] == sorted(found[step] for step in steps)


def test_idle_costs_are_measured_of_the_whole_family(engine: Engine) -> None:
    """Processor and memory come from the running healer; the engine alone is the first line."""
    assert engine.child is not None
    nobody, embedded = idle.measure(engine.host, engine.child.pid, 3, 2)
    assert (nobody.processor, nobody.memory) == (0, 0)
    assert embedded.processor < 60
    assert 30 < embedded.memory < 500


def test_a_result_is_written_between_its_markers(tmp_path: Path) -> None:
    """A section is replaced whole, again and again, and the rest of the document stays."""
    document = tmp_path / "page.md"
    document.write_text("before\n<!-- x: begin -->\nold\n<!-- x: end -->\nafter\n")
    for table in ("first", "second"):
        report.write("x", report.section("x", "a machine", table), document)
    assert document.read_text() == (
        "before\n<!-- x: begin -->\nsecond\n\nMeasured on: a machine.\n<!-- x: end -->\nafter\n"
    )


def test_a_document_without_the_markers_is_left_alone(tmp_path: Path) -> None:
    """The message names the document and the markers."""
    document = tmp_path / "page.md"
    document.write_text("nothing")
    with pytest.raises(SystemExit, match=r"page\.md: the markers"):
        report.write("x", "text", document)
    assert document.read_text() == "nothing"


def test_a_result_that_was_kept_gives_the_same_table_and_picture(tmp_path: Path) -> None:
    """Tables and pictures are made again without measuring, byte for byte."""
    rows = [
        Storm(2.0, "floor, 8 threads", 3, [0.0, 0.4, 0.5], [0.6, 0.9, 1.3], 3),
        Storm(2.0, "floor, 4 threads", 3, [0.0, 0.1, 0.2], [0.6, 0.9, 1.0], 3),
        Storm(2.0, "embedded", 3, [0.0, 0.2, 0.3], [0.7, 1.0], 2),
    ]
    results.save("storm", "a machine", rows, tmp_path)
    machine, again = results.load("storm", Storm, tmp_path)
    assert (machine, storm.table(again)) == ("a machine", storm.table(rows))
    assert "| 2 s | floor, 8 threads | 1 | 0.5 s | 0.6 s | 1.3 s | 1.30 | 3 |" in storm.table(again)
    assert "| 1 never started |  | 2 |" in storm.table(again)
    for name, found in (("first", rows), ("second", again)):
        picture.lines(tmp_path / name / "storm.svg", "A storm", "seconds", "started", storm.progress(found))
    first, second = ((tmp_path / name / "storm.svg").read_text() for name in ("first", "second"))
    assert first == second
    assert "floor, 4 threads" in first
    assert "floor, 8 threads" not in first, "of the floors only the best is drawn"


def test_a_benchmark_that_has_not_run_says_how_to_run_it(tmp_path: Path) -> None:
    """The message names the command."""
    with pytest.raises(SystemExit, match="python -m benchmarks latency --write"):
        results.load("latency", Row, tmp_path)


def test_a_logarithmic_picture_spans_what_was_measured(tmp_path: Path) -> None:
    """Cost against size is drawn on two logarithmic axes, labelled in ones, twos and fives."""
    path = tmp_path / "cost.svg"
    picture.lines(path, "Cost", "containers", "%", {"all": [(100, 0.4), (10_000, 30.0)]}, log=True)
    for label in (">0.2<", ">0.5<", ">10<", ">20<", ">10,000<"):
        assert label in path.read_text()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cat", Peer("cat", ("cat",))),
        (
            "fast, 1 s: EVERY=1 PLACE='a b' cat -u",
            Peer("fast, 1 s", ("cat", "-u"), {"EVERY": "1", "PLACE": "a b"}),
        ),
        ("sh {script} autoheal", Peer("heals", ("sh", "{script}", "autoheal"))),
        ("{script} autoheal", Peer("heals", ("sh", "{script}", "autoheal"))),
    ],
)
def test_a_peer_is_named_and_given_its_environment(text: str, expected: Peer, tmp_path: Path) -> None:
    """`--peer` takes a name, variables and a command; a script that is not executable is given to the shell."""
    script = tmp_path / "heals"
    script.write_text("exit 0")
    command = tuple(word.replace("{script}", str(script)) for word in expected.command)
    found = read_peer(text.replace("{script}", str(script)))
    assert found == Peer(expected.name, command, expected.environ)


def test_a_peer_that_is_not_there_is_refused() -> None:
    """A benchmark of half an hour does not end in the middle for a misspelt path."""
    with pytest.raises(SystemExit, match="there is no program './no-such-script'"):
        read_peer("slow: ./no-such-script")
