"""Lists of containers in CSV, JSON and YAML."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healing.core.labels import read_labels
from healing.registration.positions import json_entries
from healing.registration.read import read_paths
from healing.registration.rows import Reading
from healing.registration.sources import Format, Options

PROFILES = ("default", "critical")


def read(path: Path | str, **options: Any) -> Reading:
    return read_paths([str(path)], Options(profiles=PROFILES, **options))


def write(folder: Path, name: str, text: str) -> Path:
    file = folder / name
    file.write_bytes(text.encode())
    return file


CSV = """name,project,service,image,restart,config,check_interval,labels,probe.web
web,shop,web,nginx,always,,5,team=a;tier=front,http://:80/

db,shop,db,postgres,no,critical,,,tcp://:5432
"""
JSON = """
{"version": 1,
 "containers": [
  {"name": "web", "project": "shop", "service": "web", "image": "nginx", "restart": "always",
   "check_interval": 5, "labels": {"team": "a", "tier": "front"}, "probes": {"web": "http://:80/"}},
  {"name": "db", "project": "shop", "service": "db", "image": "postgres", "restart": "no",
   "config": "critical", "probes": {"web": "tcp://:5432"}}
]}
"""
YAML = """
- {name: web, project: shop, service: web, image: nginx, restart: always, check_interval: 5,
   labels: [team=a, tier=front], probes: {web: "http://:80/"}}
- name: db
  project: shop
  service: db
  image: postgres
  restart: no
  config: critical
  probes:
    web: tcp://:5432
"""


@pytest.mark.parametrize(
    ("name", "text", "lines"),
    [
        ("c.csv", CSV, [2, 4]),
        ("semicolons.csv", "name;restart;check_interval\r\nweb;always;5\r\ndb;no;\r\n", [2, 3]),
        ("bom.csv", "\ufeff" + CSV, [2, 4]),
        ("c.json", JSON, [4, 6]),
        ("c.yaml", YAML, [2, 4]),
    ],
)
def test_the_three_kinds_of_lists_say_the_same(
    tmp_path: Path, name: str, text: str, lines: list[int]
) -> None:
    """A container means the same in each format, and knows its line."""
    reading = read(write(tmp_path, name, text))
    web, db = reading.rows
    assert not reading.refused
    assert not reading.warnings
    assert [web.place.line, db.place.line] == lines
    assert (web.name, dict(web.mapped)) == ("web", {"auto_restart": True, "max_restarts": 10})
    assert read_labels(web.labels).values == {"check_interval": 5}
    assert dict(db.mapped) == {"auto_restart": False}
    if "semicolons" not in name:
        assert (web.project, web.service, web.image, web.labels["team"]) == ("shop", "web", "nginx", "a")
        assert read_labels(web.labels).probes == {"web": "http://:80/"}
        assert read_labels(db.labels).profile == "critical"


@pytest.mark.parametrize(
    ("text", "form"), [(CSV, Format.AUTO), (JSON, Format.AUTO), (YAML, Format.AUTO), (YAML, Format.YAML)]
)
def test_standard_input_is_recognised_by_its_content(
    monkeypatch: pytest.MonkeyPatch, text: str, form: Format
) -> None:
    """`-` needs no --format."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    assert [row.name for row in read("-", format=form).rows] == ["web", "db"]


@pytest.mark.parametrize(
    ("row", "field", "words"),
    [
        ("web,0,,", "check_interval", "0 is out of range; write a number from 0.1"),
        ("web,,-3,", "failure_threshold", "-3 is out of range; write a whole number from 1"),
        ("web,,x,", "failure_threshold", "is not a number"),
        (",1,,", "name", "a name is missing"),
        ("we b,1,,", "name", "is no container name"),
        ("web,1,,sometimes", "restart", "no restart policy"),
        ("web,1", "", "it has 2 cells and the header 4"),
        ("web,1,2,no,5", "", "it has 5 cells and the header 4"),
    ],
)
def test_a_bad_csv_row_is_refused_with_its_line_and_the_others_are_read(
    tmp_path: Path, row: str, field: str, words: str
) -> None:
    """One bad row is one refusal, with line and field."""
    text = f'name,check_interval,failure_threshold,restart\n"good",1,,no\n{row}\nlast,,,\n'
    reading = read(write(tmp_path, "c.csv", text))
    assert [good.name for good in reading.rows] == ["good", "last"]
    (finding,) = reading.refused
    assert (finding.place.line, finding.field) == (3, field)
    assert words in finding.reason


@pytest.mark.parametrize(
    ("name", "text", "line", "words"),
    [
        ("c.csv", 'name,image\nweb,"open\nnext,x\n', 2, "broken CSV"),
        ("c.csv", 'name,image\nweb,"a"b\n', 2, "broken CSV"),
        ("c.csv", "name,intervall\nweb,3\n", 1, "there is no field 'intervall'"),
        ("c.csv", "name,chek_interval\nweb,3\n", 1, "did you mean check_interval?"),
        ("c.csv", "web,nginx\n", 1, "there is no field 'web'"),
        ("c.csv", "name,name\n", 1, "is there twice"),
        ("c.csv", "image\nx\n", 1, "lacks the column name"),
        ("c.csv", "", 1, "it is empty"),
        ("c.json", '[{"name": "a"},\n{"name": }]', 2, "JSON syntax error"),
        ("c.json", '{"name": "a"}', 1, "write a list of containers"),
        ("c.json", '[{"name": "a", "name": "b"}]', None, "is there twice"),
        ("c.json", "[" * 100_000, None, "cannot be used as JSON"),
        ("c.yml", "- name: a\n  - b\n", 2, "YAML syntax error"),
    ],
)
def test_a_list_that_cannot_be_parsed_is_one_refusal(
    tmp_path: Path, name: str, text: str, line: int | None, words: str
) -> None:
    """A broken list gives no rows at all, also not those before the fault."""
    reading = read(write(tmp_path, name, text))
    assert (reading.rows, reading.files_read) == ([], 0)
    (finding,) = reading.refused
    assert finding.place.line == line
    assert words in finding.reason


@pytest.mark.parametrize(
    ("entry", "field", "words"),
    [
        ('{"name": "x",\n"max_restart": 1}', "max_restart", "did you mean max_restarts?"),
        ('{"name": "x",\n"healthcheck": {"interval": "0.5"}}', "healthcheck.interval", "has no unit"),
        ('{"name": "x",\n"config": "none"}', "config", "there is no profile 'none'"),
        ('{"name": "x",\n"config": {"check_timeout": -1}}', "config.check_timeout", "out of range"),
        ('{"name": "x",\n"probes": {"p": "ftp://:1"}}', "probes.p", "there is no probe of kind"),
        ('{"name": "x",\n"service": "lonely"}', "service", "belongs to a project"),
        ('{"name": "x",\n"image": ["a"]}', "image", "write a text"),
    ],
)
def test_a_bad_json_entry_is_refused_with_the_line_of_its_field(
    tmp_path: Path, entry: str, field: str, words: str
) -> None:
    """In JSON too a refusal has the line where its field stands."""
    reading = read(write(tmp_path, "c.json", f'[{{"name": "good"}},\n{entry},\n7]'))
    assert [row.name for row in reading.rows] == ["good"]
    first, second = reading.refused
    assert (first.place.line, first.field) == (3, field)
    assert words in first.reason
    assert (second.place.line, "is no container" in second.reason) == (4, True)


@pytest.mark.parametrize("raw", [b"\xff\xfe\x00", "name\nweb\n".encode("utf-16")])
def test_a_file_that_is_not_utf_8_is_refused(tmp_path: Path, raw: bytes) -> None:
    """A wrong encoding gets a sentence, not a traceback."""
    file = tmp_path / "c.csv"
    file.write_bytes(raw)
    assert "UTF-8" in read(file).refused[0].reason


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    """A path that does not exist is named."""
    (finding,) = read(tmp_path / "none.csv").refused
    assert "cannot be read" in finding.reason


@given(
    st.lists(
        st.dictionaries(st.text(max_size=5), st.text(max_size=5) | st.integers() | st.none(), max_size=4),
        max_size=5,
    ),
    st.sampled_from([None, 1, 2]),
)
def test_json_entries_are_the_entries_of_the_document(
    entries: list[dict[str, Any]], indent: int | None
) -> None:
    """Finding positions never changes what is read, and each entry's line is where it begins."""
    text = json.dumps({"before": {"containers": []}, "containers": entries, "after": 1}, indent=indent)
    found = list(json_entries(text, "f"))
    assert [value for value, _, _ in found] == entries
    lines = text.split("\n")
    assert all("{" in lines[(place.line or 0) - 1] for _, place, _ in found)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("list.csv", "name,probe.web,probe.web.interval\nweb,http://:80/,0.2\n"),
        (
            "list.json",
            '[{"name": "web", "probes": {"web": {"target": "http://:80/", "interval": 0.2}}}]',
        ),
        ("list.yaml", "- name: web\n  probes: {web: 'http://:80/', web.interval: 0.2}\n"),
    ],
)
def test_options_of_probes(tmp_path: Path, name: str, text: str) -> None:
    """A probe's interval can be said in each format, and is kept as a label."""
    reading = read(write(tmp_path, name, text))
    (web,) = reading.rows
    assert not reading.refused
    assert web.labels["selfheal.probe.web"] == "http://:80/"
    assert web.labels["selfheal.probe.web.interval"] == "0.2"


def test_a_wrong_option_of_a_probe_is_refused(tmp_path: Path) -> None:
    """The error names the option, and what it must be."""
    text = '[{"name": "web", "probes": {"web": {"target": "http://:80/", "interval": 0.01}}}]'
    reading = read(write(tmp_path, "list.json", text))
    (problem,) = reading.refused
    assert problem.field == "probes.web.interval"
    assert "from 0.1" in str(problem)
