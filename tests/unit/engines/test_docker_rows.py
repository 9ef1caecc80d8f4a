"""A list of containers is decoded row by row, and rows that have not changed are not decoded again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from healing.engines.docker_payloads import parse_summary
from healing.engines.docker_rows import ListedRows

RECORDED = Path(__file__).resolve().parents[2] / "data/engines"
LISTS = sorted(RECORDED.glob("*/list*.json"))


def compact(rows: list[dict[str, Any]]) -> bytes:
    return json.dumps(rows, separators=(",", ":")).encode() + b"\n"


@pytest.mark.parametrize("path", LISTS, ids=lambda path: f"{path.parent.name}-{path.stem}")
@pytest.mark.parametrize("spaced", [False, True])
def test_recorded_lists_are_what_they_are_decoded_as_a_whole(path: Path, spaced: bool) -> None:
    """As an engine writes them, and with spaces, by which rows cannot be told apart."""
    rows = json.loads(path.read_text())
    body = json.dumps(rows, indent=1).encode() if spaced else compact(rows)
    parser = ListedRows()
    for _ in range(2):
        assert parser.parse(body) == [parse_summary(row) for row in rows]


def test_a_row_is_decoded_again_when_and_only_when_it_has_changed() -> None:
    """What is as it was costs nothing; what has changed is seen, and what is gone is forgotten."""
    rows = [{"Id": f"c{number}", "Names": [f"/{number}"], "State": "running"} for number in range(3)]
    parser = ListedRows()
    first = parser.parse(compact(rows))
    rows[1]["State"] = "exited"
    second = parser.parse(compact(rows))
    assert [again is before for again, before in zip(second, first, strict=True)] == [True, False, True]
    assert second[1].state == "exited"
    assert [one.id for one in parser.parse(compact(rows[1:]))] == ["c1", "c2"]
    assert len(parser._kept) == 2


@pytest.mark.parametrize(
    "row",
    [
        {"Id": "a", "Labels": {"x": '"},{"Id":"b'}, "Names": ["/a"]},
        {"Id": "a", "Mounts": [{"Id": "m"}, {"Id": "n"}], "Names": ["/a"]},
    ],
)
def test_what_looks_like_a_row_inside_a_row_is_none(row: dict[str, Any]) -> None:
    """Neither a label's text nor a nested object splits a row in two."""
    rows = [row, {"Id": "z", "Names": ["/z"]}]
    assert ListedRows().parse(compact(rows)) == [parse_summary(one) for one in rows]


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", ValueError),
        (b"{}", TypeError),
        (b"null", TypeError),
        (b'[{"Id":"a"', ValueError),
        (b'[{"Id":"a}]', ValueError),
    ],
)
def test_what_is_no_list_is_refused(body: bytes, error: type[Exception]) -> None:
    """A proxy's page or half an answer is not taken for an engine without containers."""
    with pytest.raises(error):
        ListedRows().parse(body)


def test_an_engine_without_containers_has_none() -> None:
    """An empty list is an answer."""
    assert ListedRows().parse(b"[]\n") == []
