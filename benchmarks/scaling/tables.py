"""Results in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from benchmarks.scaling.result import POSTGRES, REDIS, SIMULATOR, Result


def table(results: Sequence[Result]) -> str:
    """Cost, regularity, calls and heals in Markdown, a line for each size; then the processes of the largest."""
    tables = [_cost(results), _regularity(results), _asked(results), _heals(results)]
    if results:
        tables.append(_processes(max(results, key=lambda result: result.containers)))
    return "\n\n".join(tables)


def _cost(results: Sequence[Result]) -> str:
    head = (
        "containers", "engines", "mode", "Selfheal, nothing fails", "Selfheal, with faults", "PostgreSQL", "Redis",
        "simulator", "memory: start, middle, end",
    )  # fmt: skip
    rows = [
        (
            *_size(r),
            f"{r.quiet.selfheal:.1f}%",
            f"{r.failing.selfheal:.1f}%",
            *(_pair(r, name) for name in (POSTGRES, REDIS, SIMULATOR)),
            ", ".join(f"{value:.0f}" for value in r.memory_in_all) + " MiB",
        )
        for r in results
    ]
    return markdown(head, rows, left=3)


def _pair(result: Result, name: str) -> str:
    quiet, failing = result.quiet.around.get(name), result.failing.around.get(name)
    return "" if quiet is None or failing is None else f"{quiet:.1f}%, {failing:.1f}%"


def _regularity(results: Sequence[Result]) -> str:
    head = (
        "containers", "engines", "mode", "minutes", "between two looks: p50", "p99", "longest", "ever late",
        "oldest verdict in the database", "all known after",
    )  # fmt: skip
    rows = []
    for r in results:
        looks = r.failing.lateness
        minutes = (r.quiet.seconds + r.failing.seconds) / 60
        late = max(r.quiet.lateness.late_containers, looks.late_containers)
        longest = max(r.quiet.lateness.longest, looks.longest)
        age = max(r.quiet.verdict_age, r.failing.verdict_age)
        seconds = (f"{value:.1f} s" for value in (looks.p50, looks.p99, longest))
        rows.append(
            (*_size(r), f"{minutes:.1f}", *seconds, str(late), f"{age:.1f} s", f"{r.known_after:.0f} s")
        )
    return markdown(head, rows, left=3)


def _asked(results: Sequence[Result]) -> str:
    head = (
        "containers", "engines", "mode", "list calls an engine and interval", "most in one second",
        "inspections without a fault", "inspections a fault", "statements a second", "a sweep", "a fault",
    )  # fmt: skip
    rows = []
    for r in results:
        calls = r.quiet.calls
        inspected = r.failing.calls.inspects / r.heals.faults if r.heals.faults else None
        unchanged = calls.inspects + r.failing.calls.inspects_of_unchanged
        crowd = max(calls.lists_in_a_tick, r.failing.calls.lists_in_a_tick)
        cells = (f"{calls.lists_per_interval:.2f}", str(crowd), str(unchanged), _number(inspected))
        counts = (r.quiet.per_second(), r.quiet.per_sweep, r.statements_per_heal)
        rows.append((*_size(r), *cells, *map(_number, counts)))
    return markdown(head, rows, left=3)


def _heals(results: Sequence[Result]) -> str:
    head = (
        "containers", "engines", "mode", "faults", "started", "work again", "later than an interval",
        "fault → start: p50", "p99", "longest", "processor a fault",
    )  # fmt: skip
    rows = []
    for r in results:
        heals = r.heals
        times = ("" if value is None else f"{value:.2f} s" for value in (heals.p50, heals.p99, heals.longest))
        each = r.milliseconds_per_heal
        counts = map(str, (heals.faults, heals.started, heals.work_again, heals.late))
        rows.append((*_size(r), *counts, *times, "" if each is None else f"{each:.0f} ms"))
    return markdown(head, rows, left=3)


def _processes(result: Result) -> str:
    head = (f"{result.containers:,} containers", "nothing fails", "with faults", "memory: start, middle, end")
    rows = [
        (
            kind,
            f"{result.quiet.processor.get(kind, 0.0):.1f}%",
            f"{result.failing.processor.get(kind, 0.0):.1f}%",
            ", ".join(f"{value:.0f}" for value in result.memory[kind]) + " MiB",
        )
        for kind in sorted(result.memory)
    ]
    return markdown(head, rows, left=1)


def _size(result: Result) -> tuple[str, str, str]:
    return f"{result.containers:,}", str(result.hosts), result.mode


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]], left: int) -> str:
    rulers = ["---" if number == left - 1 else "--:" for number in range(len(head))]
    lines = [head, *rows]
    text = [f"| {' | '.join(cells)} |" for cells in lines]
    return "\n".join([text[0], f"|{'|'.join(rulers)}|", *text[1:]])
