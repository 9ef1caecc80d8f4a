"""Rows from lists of containers: CSV with a header, JSON, YAML. One entry, one container."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Collection, Iterator
from typing import Any

from healing.core.config import FIELD_NAMES
from healing.core.labels import COMPOSE_PROJECT, COMPOSE_SERVICE
from healing.core.mapping import values_from_restart
from healing.registration.compose_merge import label_map
from healing.registration.compose_rows import CONTAINER_NAME
from healing.registration.declare import OTHER_KEYS, declare, label_findings, unknown
from healing.registration.marked import Map, Seq
from healing.registration.policy import mapped_healthcheck, restart_text, usable
from healing.registration.positions import json_entries
from healing.registration.rows import Finding, Place, Reading, RegistrationError, Row
from healing.registration.sources import Format, Options, Source

TEXT_KEYS = ("name", "host", "project", "service", "image", "restart")
KEYS = (*TEXT_KEYS, "healthcheck", "labels", *OTHER_KEYS, *FIELD_NAMES)
_PROBE = "probe."
MAX_CELL = 1_000_000


def read_table(source: Source, options: Options) -> Reading:
    """The rows of one list. Raise RegistrationError where the input as a whole cannot be parsed."""
    readers = {Format.CSV: _csv_entries, Format.JSON: _json_list, Format.YAML: _yaml_list}
    reading = Reading(files_read=1)
    for entry in readers[source.format](source):
        try:
            if isinstance(entry, RegistrationError):
                raise entry
            row, warnings = table_row(entry, options.profiles, f"file {source.file}")
            reading.rows.append(row)
            reading.warnings += warnings
        except RegistrationError as refused:
            reading.refused.append(refused.finding)
    return reading


def table_row(entry: Map, profiles: Collection[str], registered_by: str) -> tuple[Row, list[Finding]]:
    """The row of one entry, and warnings about it. Raise RegistrationError for the first thing in it that cannot be used."""
    for key in entry:
        if key not in KEYS:
            raise RegistrationError(entry.at(key), key, unknown(key, KEYS))
    texts = {key: _text(entry, key) for key in TEXT_KEYS}
    name = texts["name"].removeprefix("/")
    if not name:
        raise RegistrationError(entry.at("name"), "name", "a name is missing; write the container's name")
    if not CONTAINER_NAME.fullmatch(name):
        raise RegistrationError(
            entry.at("name"), "name", f"{name!r} is no container name; write letters, digits, dots, - and _"
        )
    mapped, warnings = usable(_mapped(entry), entry.place)
    labels = _labels(entry, texts, profiles)
    warnings += label_findings(labels, lambda label: entry.at("labels"), profiles)
    row = Row(
        place=entry.place,
        name=name,
        host=texts["host"],
        project=texts["project"] or labels.get(COMPOSE_PROJECT, ""),
        service=texts["service"] or labels.get(COMPOSE_SERVICE, ""),
        image=texts["image"],
        labels=labels,
        mapped=mapped,
        registered_by=registered_by,
    )
    if row.service and not row.project:
        raise RegistrationError(
            entry.at("service"), "service", "a service belongs to a project; write the project too"
        )
    return row, warnings


def _text(entry: Map, key: str) -> str:
    value = entry.get(key)
    if isinstance(value, dict | list):
        raise RegistrationError(entry.at(key), key, "write a text")
    text = "" if value is None else str(value).strip()
    if len(text) > (500 if key == "image" else 200):
        raise RegistrationError(entry.at(key), key, f"it has {len(text)} characters, which is too long")
    return text


def _mapped(entry: Map) -> dict[str, Any]:
    policy = restart_text(entry.get("restart"), entry.at("restart"))
    return values_from_restart(policy, written=True) | mapped_healthcheck(
        entry.get("healthcheck") or None, entry.at("healthcheck")
    )


def _labels(entry: Map, texts: dict[str, str], profiles: Collection[str]) -> dict[str, str]:
    stated = {key: entry[key] for key in entry if key in FIELD_NAMES or key in OTHER_KEYS}
    labels = declare(stated, entry.at, profiles)
    if entry.get("labels"):
        labels |= label_map(entry["labels"], entry.at("labels"))
    if texts["project"]:
        labels.setdefault(COMPOSE_PROJECT, texts["project"])
    if texts["service"]:
        labels.setdefault(COMPOSE_SERVICE, texts["service"])
    return labels


def _yaml_list(source: Source) -> Iterator[Map | RegistrationError]:
    document = source.document
    entries = document.get("containers") if isinstance(document, Map) else document
    if not isinstance(entries, Seq):
        raise RegistrationError(Place(source.file, 1), "", "write a list of containers, each with a name")
    for entry, place in zip(entries, entries.places, strict=True):
        if isinstance(entry, Map):
            yield entry
        else:
            yield RegistrationError(place, "", f"{entry!r} is no container; write a mapping with a name")


def _json_list(source: Source) -> Iterator[Map | RegistrationError]:
    for value, place, at in json_entries(source.text, source.file):
        if isinstance(value, dict):
            yield marked_json(value, place, at)
        else:
            yield RegistrationError(
                place, "", f"{json.dumps(value)[:50]} is no container; write an object with a name"
            )


def marked_json(value: dict[str, Any], place: Place, at: dict[str, int]) -> Map:
    """A JSON object as a Map; `at` has the lines of its keys."""
    result = Map(place)
    for key, child in value.items():
        line = Place(place.file, at.get(key, place.line))
        if isinstance(child, dict):
            child = marked_json(child, line, at)
        elif isinstance(child, list):
            items = Seq(line)
            for item in child:
                items.push(item, line)
            child = items
        result.put(key, child, line)
    return result


def _csv_entries(source: Source) -> Iterator[Map | RegistrationError]:
    csv.field_size_limit(MAX_CELL)
    delimiter = _delimiter(source.text)
    reader = csv.reader(io.StringIO(source.text, newline=""), delimiter=delimiter, strict=True)
    header: list[str] = []
    last_line = 0
    try:
        for cells in reader:
            place = Place(source.file, last_line + 1)
            last_line = reader.line_num
            if not any(cell.strip() for cell in cells):
                continue
            if not header:
                header = _header(cells, place)
            elif len(cells) != len(header):
                yield RegistrationError(
                    place,
                    "",
                    f"it has {len(cells)} cells and the header {len(header)}; quote cells with {delimiter!r}",
                )
            else:
                yield _csv_row(header, cells, place)
    except csv.Error as error:
        raise RegistrationError(
            Place(source.file, last_line + 1), "", f"broken CSV: {error}; mend the quotes and run again"
        ) from None
    if not header:
        raise RegistrationError(
            Place(source.file, 1),
            "",
            "it is empty; write a header with name, and one line for each container",
        )


def _delimiter(text: str) -> str:
    first = text.lstrip("\r\n").split("\n", 1)[0]
    return max(",;\t", key=first.count)


def _header(cells: list[str], place: Place) -> list[str]:
    header = [cell.strip().lower() for cell in cells]
    for name in header:
        if name not in KEYS and not name.startswith(_PROBE):
            raise RegistrationError(place, name, unknown(name, KEYS))
        if header.count(name) > 1:
            raise RegistrationError(place, name, "the column is there twice; remove one")
    if "name" not in header:
        raise RegistrationError(place, "name", "the header lacks the column name; write it in the first line")
    return header


def _csv_row(header: list[str], cells: list[str], place: Place) -> Map | RegistrationError:
    row, probes, labels = Map(place), Map(place), Seq(place)
    for name, cell in zip(header, cells, strict=True):
        text = cell.strip()
        if not text:
            continue
        if name.startswith(_PROBE):
            probes.put(name.removeprefix(_PROBE), text, place)
        elif name in ("probes", "healthcheck"):
            return RegistrationError(
                place, name, f"a cell cannot hold it; write columns such as {_PROBE}web or check_interval"
            )
        elif name == "labels":
            for label in text.split(";"):
                labels.push(label.strip(), place)
        else:
            row.put(name, text, place)
    if probes:
        row.put("probes", probes, place)
    if labels:
        row.put("labels", labels, place)
    return row
