"""What a quantity costs at all, for each engine and for each container: the non-negative least squares over the runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

ENOUGH = 3
"""So many runs at least, and not all with the same number of containers an engine."""
MANY = 10
"""With fewer engines, what is there at all hides what each of them costs."""


@dataclass(frozen=True, slots=True)
class Cost:
    """`fixed` + `engine` times engines + `container` times containers."""

    fixed: float
    engine: float
    container: float

    def at(self, engines: float, containers: float) -> float:
        return self.fixed + self.engine * engines + self.container * containers


def fit(runs: Iterable[tuple[int, int, float]]) -> Cost | None:
    """The cost that fits (engines, containers, amount) best, each run by its relative error.

    None where the runs cannot tell the three terms apart; an amount of 0 is no measurement.
    """
    measured = [run for run in runs if run[2]]
    rows = [[1 / amount, engines / amount, containers / amount] for engines, containers, amount in measured]
    values = [1.0] * len(rows)
    ratios = {containers / engines for engines, containers, _ in measured if engines >= MANY}
    if len(rows) < ENOUGH or not ratios or max(ratios) < 1.5 * min(ratios):
        return None
    return min(_candidates(rows, values), key=lambda found: _error(found, rows, values))


def _candidates(rows: Sequence[Sequence[float]], values: Sequence[float]) -> Iterable[Cost]:
    """The least squares of every choice of the three terms in which none is negative; the others are 0."""
    for chosen in (one for size in (1, 2, 3) for one in combinations(range(3), size)):
        solved = _solve(*_normal([[row[number] for number in chosen] for row in rows], values))
        if solved and min(solved) >= 0:
            terms = dict(zip(chosen, solved, strict=True))
            yield Cost(*(terms.get(number, 0.0) for number in range(3)))


def _error(found: Cost, rows: Sequence[Sequence[float]], values: Sequence[float]) -> float:
    terms = (found.fixed, found.engine, found.container)
    return sum(
        (sum(a * b for a, b in zip(row, terms, strict=True)) - value) ** 2
        for row, value in zip(rows, values, strict=True)
    )


def _normal(
    rows: Sequence[Sequence[float]], values: Sequence[float]
) -> tuple[list[list[float]], list[float]]:
    columns = list(zip(*rows, strict=True))
    matrix = [[sum(a * b for a, b in zip(one, other, strict=True)) for other in columns] for one in columns]
    return matrix, [sum(a * b for a, b in zip(column, values, strict=True)) for column in columns]


def _solve(matrix: list[list[float]], right: list[float]) -> list[float] | None:
    """Gauss-Jordan with pivots; None for a matrix that is as good as singular."""
    rows = [[*line, value] for line, value in zip(matrix, right, strict=True)]
    for number in range(len(rows)):
        pivot = max(range(number, len(rows)), key=lambda line: abs(rows[line][number]))
        rows[number], rows[pivot] = rows[pivot], rows[number]
        if abs(rows[number][number]) < 1e-12 * max(abs(matrix[number][number]), 1e-300):
            return None
        rows[number] = [value / rows[number][number] for value in rows[number]]
        for other in (line for line in range(len(rows)) if line != number):
            factor = rows[other][number]
            rows[other] = [a - factor * b for a, b in zip(rows[other], rows[number], strict=True)]
    return [line[-1] for line in rows]
