"""Charts as SVG files, the same bytes for the same data, readable on a light and on a dark page."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pygal
from pygal.style import Style

from tests.testbed.paths import PROJECT

FOLDER = PROJECT / "docs" / "images"

_GREY = "#808080"
_LOOK = (
    "inline:.axis .line { stroke: #808080 !important; } .axis .guide.line { stroke: rgba(128,128,128,.4) !important; }"
    " .line.reactive { stroke-width: 2.2 !important; }"
)
_DARK = "inline:@media (prefers-color-scheme: dark) { text { fill: #d0d0d0 !important; } }"
_STYLE = Style(
    background="transparent",
    plot_background="transparent",
    foreground="#404040",
    foreground_strong="#202020",
    foreground_subtle=_GREY,
    opacity=".85",
    colors=("#2f81f7", "#d9730d", "#2da44e", "#a371f7", "#cf222e", "#1b9e9e", "#b08800", "#8c6d5a"),
    font_family="system-ui, sans-serif",
    label_font_size=12,
    major_label_font_size=12,
    legend_font_size=13,
    title_font_size=16,
    value_font_size=11,
    transition="0s",
)
_LEGEND = 50
"""Pixels below the title of the x axis, into which the library would draw the legend."""
_OPTIONS: dict[str, Any] = {
    "style": _STYLE,
    "css": ["file://style.css", "file://graph.css", _LOOK, _DARK],
    "js": (),
    "width": 860,
    "height": 430,
    "legend_at_bottom": True,
    "legend_at_bottom_columns": 4,
    "legend_box_size": 12,
    "disable_xml_declaration": True,
    "truncate_legend": -1,
    "show_minor_x_labels": True,
}


def lines(
    path: Path,
    title: str,
    x_label: str,
    y_label: str,
    series: Mapping[str, Sequence[tuple[float, float]]],
    log: bool = False,
) -> None:
    """One line for each series of (x, y); with `log` both axes are logarithmic, and every value must be above 0."""
    chart = pygal.XY(
        title=title,
        x_title=x_label,
        y_title=y_label,
        logarithmic=log,
        show_dots=log,
        include_x_axis=not log,
        margin_bottom=_LEGEND,
        x_value_formatter=_number,
        value_formatter=_number,
        **_OPTIONS,
    )
    if log:
        chart.x_labels = sorted({x for points in series.values() for x, _ in points})
        chart.y_labels = _decades([y for points in series.values() for _, y in points])
    for name, points in series.items():
        chart.add(name, [(x, y) for x, y in points])
    _write(path, chart)


def steps(times: Sequence[float]) -> list[tuple[float, float]]:
    """The stairs of a count that grows by one at each of these times, which are in their order."""
    points = [(0.0, 0.0)]
    for number, at in enumerate(times):
        points += [(at, float(number)), (at, float(number + 1))]
    return points


def bars(
    path: Path, title: str, y_label: str, groups: Sequence[str], series: Mapping[str, Sequence[float | None]]
) -> None:
    """Groups of bars side by side: a series has one value for each group, None where there is none."""
    chart = pygal.Bar(
        title=title,
        y_title=y_label,
        print_values=True,
        value_formatter=_number,
        include_x_axis=True,
        **_OPTIONS,
    )
    chart.x_labels = list(groups)
    for name, values in series.items():
        chart.add(name, list(values))
    _write(path, chart)


def _decades(values: Sequence[float]) -> list[float]:
    """1, 2 and 5 of each power of ten that the values span, one more than they at either end."""
    powers = range(math.floor(math.log10(min(values))), math.ceil(math.log10(max(values))) + 1)
    marks = [factor * 10.0**power for power in powers for factor in (1, 2, 5)]
    below = max((mark for mark in marks if mark <= min(values)), default=marks[0])
    above = min((mark for mark in marks if mark >= max(values)), default=marks[-1])
    return [mark for mark in marks if below <= mark <= above]


def _number(value: Any) -> str:
    return "" if value is None else f"{value:,.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def _write(path: Path, chart: Any) -> None:
    """Without what would differ between two runs: a random id and today's date."""
    chart.uuid = path.stem
    text = str(chart.render(is_unicode=True))
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r"\d+\.\d{3,}", lambda found: f"{float(found[0]):.2f}", text)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text + "\n", encoding="utf-8")
