"""The Compose mapping, on the seed's own example and on files of the kinds people write."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from healing.core.config import Layer, resolve
from healing.core.labels import read_labels
from healing.registration.read import read_paths
from healing.registration.rows import Reading
from healing.registration.sources import Options

DATA = Path(__file__).parents[2] / "data" / "compose"
PROFILES = ("default", "critical", "non-critical", "read-only")
ALWAYS = {"auto_restart": True, "max_restarts": 10}


@pytest.fixture(autouse=True)
def in_data_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(DATA)


def read(*paths: str, **options: Any) -> Reading:
    return read_paths(paths, Options(profiles=PROFILES, **options))


def mapped(reading: Reading) -> dict[str, dict[str, Any]]:
    return {row.name: dict(row.mapped) for row in reading.rows}


def refused(reading: Reading) -> list[tuple[str, int | None, str]]:
    return [(finding.field, finding.place.line, finding.reason) for finding in reading.refused]


def test_the_seeds_example_gives_the_seeds_config() -> None:
    """restart: always and a healthcheck of 30s/10s/3 give exactly the config that the seed prints."""
    reading = read("01-seed.yml")
    (row,) = reading.rows
    config = resolve([Layer("Compose", row.mapped)]).config
    assert (row.name, row.project, row.service, row.image) == (
        "compose-web-1",
        "compose",
        "web",
        "nginx:latest",
    )
    assert (config.check_interval, config.check_timeout, config.failure_threshold) == (30, 10, 3)
    assert (config.max_restarts, config.restart_window) == (10, 300)
    assert (config.auto_restart, config.send_alert) == (True, True)
    assert row.place.line == 2


EXPECTED: list[tuple[Sequence[str], dict[str, Any], dict[str, dict[str, Any]]]] = [
    (
        ["02-wordpress.yml"],
        {},
        {
            "compose-db-1": ALWAYS,
            "compose-wordpress-1": {"auto_restart": True, "max_restarts": 3},
            "compose-backup-1": {"auto_restart": False},
        },
    ),
    (
        ["03-anchors.yml"],
        {},
        {
            "shop-api-1": ALWAYS
            | {"check_interval": 90, "check_timeout": 5, "failure_threshold": 4, "start_period": 40},
            "shop-worker-1": {
                "auto_restart": False,
                "check_interval": 0.5,
                "check_timeout": 5,
                "failure_threshold": 4,
                "start_period": 40,
            },
            "shop-mailer-1": ALWAYS,
        },
    ),
    (
        ["04-swarm.yml"],
        {"project_name": "poll"},
        {
            **{f"poll-vote-{number}": {"auto_restart": True, "max_restarts": 7} for number in (1, 2, 3)},
            "poll-result-1": {"auto_restart": False},
            "poll-visualizer-1": ALWAYS,
        },
    ),
    (
        ["05-variables.yml"],
        {"env_files": ("05.env",)},
        {
            "prod-app": ALWAYS | {"check_interval": 20, "check_timeout": 3, "failure_threshold": 6},
            "billing-cache-1": {},
            "billing-cache-2": {},
        },
    ),
    (
        ["05-variables.yml"],
        {
            "env_files": ("05.env",),
            "environment": {"PREFIX": "test-", "RESTART_POLICY": "no", "CACHES": "1"},
            "compatibility": True,
        },
        {
            "test-app": {
                "auto_restart": False,
                "check_interval": 20,
                "check_timeout": 3,
                "failure_threshold": 6,
            },
            "billing_cache_1": {},
        },
    ),
    (
        ["07-base.yml", "07-prod.yml"],
        {},
        {
            "forum-web-1": ALWAYS | {"check_interval": 10, "failure_threshold": 5},
            "forum-web-2": ALWAYS | {"check_interval": 10, "failure_threshold": 5},
            "forum-search-1": ALWAYS,
        },
    ),
    (
        ["07-base.yml"],
        {"compose_profiles": ("debug",)},
        {
            "forum-web-1": {"auto_restart": False, "check_interval": 60, "failure_threshold": 5},
            "forum-debug-1": {},
            "forum-search-1": {"auto_restart": True},
        },
    ),
    (
        ["08-extends.yml"],
        {},
        {
            "chain-base-1": ALWAYS | {"check_interval": 12},
            "chain-near-1": ALWAYS | {"check_interval": 12, "failure_threshold": 9},
            "chain-far-1": {"auto_restart": True, "max_restarts": 2, "check_timeout": 4},
        },
    ),
    (
        ["09-include.yml"],
        {},
        {
            "the-store": {},
            "whole-queue-1": {"auto_restart": True, "max_restarts": 8},
            "whole-front-1": ALWAYS,
        },
    ),
    (
        ["10-monitoring.json"],
        {},
        {"monitoring-prometheus-1": ALWAYS | {"check_interval": 3723.5}, "monitoring-grafana-1": {}},
    ),
]


@pytest.mark.parametrize(
    ("paths", "options", "expected"),
    EXPECTED,
    ids=[f"{paths[0]}-{n}" for n, (paths, *_) in enumerate(EXPECTED)],
)
def test_real_world_files_give_the_expected_values(
    paths: Sequence[str], options: dict[str, Any], expected: dict[str, dict[str, Any]]
) -> None:
    """Every container of the file is there under its Compose name, with the values that its policy means."""
    reading = read(*paths, **options)
    assert mapped(reading) == expected
    assert not reading.warnings


def test_labels_are_read_in_both_forms_and_variables_in_them_replaced() -> None:
    """List and map labels end up the same, merged by name, with Compose's own labels beside them."""
    (web, *_) = read("07-base.yml", "07-prod.yml").rows
    assert web.labels == {
        "team": "platform",
        "tier": "front",
        "com.docker.compose.project": "forum",
        "com.docker.compose.service": "web",
    }
    app = read("05-variables.yml", env_files=("05.env",)).rows[0]
    assert (app.image, app.labels["price"], app.labels["owner"]) == (
        "registry.example/app:1.4",
        "$5",
        "nobody",
    )
    wordpress = read("02-wordpress.yml").rows[1]
    assert read_labels(wordpress.labels).enabled is True


def test_x_selfheal_has_the_rank_of_labels_and_written_labels_win() -> None:
    """Settings at the top, in the service and as labels merge by field, the nearest winning; probes by name."""
    reading = read("06-selfheal.yml")
    records, portal, reports = (read_labels(row.labels) for row in reading.rows)
    assert records.profile == "critical"
    assert records.values == {"check_interval": 15, "max_restarts": 4}
    assert records.probes == {"live": "tcp://:8080", "ready": "http://:8080/ready"}
    assert portal.values == {"check_interval": 2}
    assert reports.enabled is False
    (warning,) = reading.warnings
    assert (warning.place.line, warning.field) == (20, "services.portal.labels.selfheal.failure_threshold")


def test_included_settings_stay_with_the_included_services() -> None:
    """The x-selfheal of an included file applies to its own services only."""
    store, queue, front = read("09-include.yml").rows
    assert read_labels(store.labels).values == {"priority": "critical"}
    assert (queue.image, read_labels(queue.labels).values) == ("queue:3", {})
    assert read_labels(front.labels).values == {}


def test_services_that_compose_would_not_start_are_skipped_with_the_reason() -> None:
    """An inactive profile and zero replicas are told, not registered and not refused."""
    reading = read("04-swarm.yml", "07-base.yml")
    reasons = {finding.field: finding.reason for finding in reading.skipped}
    assert set(reasons) == {"services.idle", "services.debug"}
    assert "--profile" in reasons["services.debug"]
    assert not reading.refused


def test_a_cycle_is_refused_with_its_path_and_the_others_are_read() -> None:
    """extends in a circle ends with a sentence that shows the circle."""
    found = {field: reason for field, _, reason in refused(read("08-extends.yml"))}
    assert "08-extends.yml:loop → 08-extends.yml:pool → 08-extends.yml:loop" in found["services.loop.extends"]
    assert (
        "no service 'missing' in extends/common.yml (there are: plain, checked)"
        in found["services.lost.extends"]
    )


MISTAKES = {
    "services.policy.restart": (6, "no restart policy; write no, always"),
    "services.unitless.healthcheck.interval": (11, "has no unit; write a duration such as 30s"),
    "services.negative.healthcheck.retries": (16, "write a whole number"),
    "services.zero.x-selfheal.check_interval": (20, "0 is out of range; write a number from 0.1"),
    "services.typo.x-selfheal.chek_interval": (24, "did you mean check_interval?"),
    "services.twins.container_name": (27, "one name cannot serve 2 replicas"),
    "services.profile.x-selfheal.config": (32, "there is no profile 'importnat'; the profiles are critical"),
    "services.label.labels": (36, 'write "name=value"'),
    "services.text": (37, "write a mapping"),
}


def test_each_mistake_is_refused_with_line_and_field_and_the_rest_is_read() -> None:
    """One wrong service does not cost the others, and its message says where and what to write."""
    reading = read("11-mistakes.yml")
    assert [row.name for row in reading.rows] == ["mistakes-good-1"]
    found = {field: (line, reason) for field, line, reason in refused(reading)}
    assert found.keys() == MISTAKES.keys()
    for field, (line, words) in MISTAKES.items():
        assert found[field][0] == line, field
        assert words in found[field][1]


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("services:\n  web: [1\n", 3, "YAML syntax error"),
        ("services:\n\tweb:\n", 2, "YAML syntax error"),
        ("services:\n  web: {}\n  web: {}\n", 3, "is there twice"),
        ("services: [web]\n", 1, "write a mapping of service names"),
        ("include: nothing.yml\n", 1, "write a list of files"),
        ("include: [nothing.yml]\n", 1, "cannot be read"),
        ("include: ['https://example.org/compose.yml']\n", 1, "is not a local file"),
        ("name: Not Valid\nservices: {}\n", 1, "no project name"),
        ("name: ${NAME:?say it}\nservices: {}\n", 1, "NAME is required: say it"),
        ("x: &x [*x]\nservices: {}\n", 1, "YAML syntax error"),
        ("services: {}\n---\nservices: {}\n", 2, "single document"),
        ("", 1, "neither a Compose file"),
        ("a: 1\n", 1, "neither a Compose file"),
        ("services:\n  a: \0\n", 2, "NUL"),
        ("services:\n  a: " + "[" * 100_000, 2, "deep"),
        ("services: {a: !!python/object/apply:os.system [ls]}", 1, "could not determine a constructor"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_refusal_with_its_line(
    tmp_path: Path, text: str, line: int, words: str
) -> None:
    """A file that cannot be parsed gives no rows, and one sentence with the line."""
    file = tmp_path / "compose.yml"
    file.write_text(text)
    reading = read(str(file))
    assert (reading.rows, reading.files_read) == ([], 0)
    ((_, found_line, reason),) = refused(reading)
    assert found_line == line
    assert words in reason


def test_anchors_that_unfold_without_end_are_refused(tmp_path: Path) -> None:
    """A few hundred bytes of aliases cannot eat all memory."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    file = tmp_path / "compose.yml"
    file.write_text("\n".join([*lines, "services: {}"]))
    assert "unfold" in refused(read(str(file)))[0][2]


def test_includes_in_a_circle_are_refused_with_their_path(tmp_path: Path) -> None:
    """include in a circle ends with a sentence that shows the circle."""
    for name, other in (("a", "b"), ("b", "a")):
        (tmp_path / f"{name}.yml").write_text(f"include: [{other}.yml]\nservices: {{}}\n")
    ((_, _, reason),) = refused(read(str(tmp_path / "a.yml")))
    assert "a.yml → " in reason
    assert "cycle" in reason


def test_an_override_that_cannot_be_read_refuses_the_project(tmp_path: Path) -> None:
    """A base file is not registered without the override that was given with it."""
    (tmp_path / "a.yml").write_text("services: {web: {image: a}}")
    (tmp_path / "b.yml").write_text("services: {web: {restart: [}}")
    reading = read(str(tmp_path / "a.yml"), str(tmp_path / "b.yml"))
    assert not reading.rows
    assert len(reading.refused) == 2


def test_files_of_different_folders_are_projects_of_their_own(tmp_path: Path) -> None:
    """Two projects given at once do not run into each other; --project-name makes them one."""
    for name in ("Shop.1", "blog"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "compose.yaml").write_text("services: {db: {image: postgres}}")
    folders = [str(tmp_path / name) for name in ("Shop.1", "blog")]
    assert [row.name for row in read(*folders).rows] == ["shop1-db-1", "blog-db-1"]
    assert [row.name for row in read(*folders, project_name="one").rows] == ["one-db-1"]


def test_a_folder_means_its_compose_file_and_override(tmp_path: Path) -> None:
    """A folder is read as `docker compose` run in it reads it, .env beside the file included."""
    (tmp_path / "compose.yml").write_text("name: f\nservices: {web: {image: a, restart: always}}")
    (tmp_path / "compose.override.yml").write_text("services: {web: {restart: '${POLICY}'}}")
    (tmp_path / ".env").write_text("POLICY=no\nCOMPOSE_PROJECT_NAME=fromenv\n")
    assert mapped(read(str(tmp_path))) == {"fromenv-web-1": {"auto_restart": False}}


def test_an_unset_variable_is_a_warning_with_its_line(tmp_path: Path) -> None:
    """A variable without a value becomes empty, as in Compose, and is told."""
    file = tmp_path / "compose.yml"
    file.write_text("services:\n  web:\n    image: a:${TAG}\n    environment: {X: '${OTHER}'}\n")
    reading = read(str(file))
    assert [(warning.place.line, warning.field) for warning in reading.warnings] == [
        (3, "services.web.image")
    ]


def test_values_outside_our_ranges_are_left_to_the_profile(tmp_path: Path) -> None:
    """A health check that Docker accepts and we cannot follow does not refuse the container."""
    file = tmp_path / "compose.yml"
    file.write_text(
        "name: w\nservices: {a: {image: a, healthcheck: {test: x, interval: 1ms, timeout: 0s}}}\n"
    )
    reading = read(str(file))
    assert mapped(reading) == {"w-a-1": {}}
    assert "the profile's value is used" in reading.warnings[0].reason
