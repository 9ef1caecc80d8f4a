"""The documentation tells the truth: what exists is documented, and what is documented exists."""

from __future__ import annotations

import re
import subprocess
import tomllib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
from django.apps import apps
from django.core.management import get_commands, load_command_class

from healing.core import config, labels
from healing.core.config import FIELD_NAMES, Config
from selfheal_project import env

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
NOT_OURS = {
    "PORT",
    "DATABASE_URL",
    "CELERY_BROKER_URL",
    "DOCKER_HOST",
    "DOCKER_TLS_VERIFY",
    "DOCKER_CERT_PATH",
}
COMPOSE_OPTIONS = {"--build", "--rm"}
PROFILE_COLUMNS = (
    "check_interval", "check_timeout", "failure_threshold", "max_restarts", "restart_window", "auto_restart", "send_alert",
    "priority",
)  # fmt: skip

_FENCE = re.compile(r"^```[a-z]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def page(name: str) -> str:
    return (ROOT / name).read_text()


def section(name: str, heading: str) -> str:
    """The text below a heading, up to the next one of its level or above."""
    level = heading.split()[0]
    rest = page(name).split(f"\n{heading}\n", 1)[1]
    return re.split(rf"^#{{1,{len(level)}}} ", rest, maxsplit=1, flags=re.MULTILINE)[0]


def rows(text: str) -> list[list[str]]:
    """The cells of all tables, heads and rulers left out."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    rulers = [number for number, line in enumerate(lines) if set(line) <= set("|-")]
    skipped = {number for ruler in rulers for number in (ruler, ruler - 1)}
    return [row for number, row in enumerate(cells) if number not in skipped]


def words(cell: str) -> list[str]:
    """What stands in backticks."""
    return _SPAN.findall(cell)


def first_words(text: str) -> list[str]:
    return [word for row in rows(text) for word in words(row[0])]


def code_lines(text: str) -> Iterator[str]:
    """Every line of code: of blocks, with continued lines joined, and of spans."""
    for block in _FENCE.findall(text):
        yield from block.replace("\\\n", " ").splitlines()
    yield from _SPAN.findall(_FENCE.sub("", text))


def all_code() -> list[tuple[str, str]]:
    return [(path.name, line) for path in PAGES for line in code_lines(path.read_text())]


def test_every_environment_variable_is_documented() -> None:
    """A person finds every variable that is read, and none that is not."""
    assert set(first_words(section("docs/configuration.md", "## Environment"))) == set(env.KNOWN) | NOT_OURS


def test_no_page_names_an_unknown_variable() -> None:
    """A misspelt SELFHEAL_ variable in the documentation would stop the start of whoever believes it."""
    named = {name for path in PAGES for name in re.findall(r"\bSELFHEAL_[A-Z_]+", path.read_text())}
    assert {name for name in named - set(env.KNOWN) if not name.startswith(env._OTHER_PREFIXES)} == set()


def test_every_config_field_has_its_default_and_range() -> None:
    """The table of the healing config says what the code does."""
    table = rows(section("docs/configuration.md", "## The healing config").split("\n### ")[0])
    assert [words(row[0])[0] for row in table] == list(FIELD_NAMES)
    for name, default, accepted, _ in table:
        field = words(name)[0]
        value = getattr(Config(), field)
        if value is None:
            assert default == "the container's own, else 10"
        else:
            assert default.strip("`").replace(",", "") == (
                str(value).lower() if isinstance(value, str | bool) else f"{value:g}"
            ), field
        assert _accepted(field) == [part.strip("` ") for part in accepted.split(", ") if part != "whole"], (
            field
        )
        assert (field in config._WHOLE) == accepted.endswith("whole"), field


def _accepted(field: str) -> list[str]:
    if field in config._BOOLEAN:
        return ["true", "false"]
    if field in config._CHOICES:
        return [str(choice) for choice in config._CHOICES[field]]
    low, high = config._RANGES[field]
    return [f"{low:g} to {high:,.0f}"]


def test_the_profiles_are_those_of_the_installation() -> None:
    """The table of profiles holds the values that a new installation gets."""
    profiles = import_module("healing.migrations.0002_profiles").PROFILES
    table = rows(section("docs/configuration.md", "### Profiles"))
    shown = {True: "yes", False: "no", None: "inherited"}
    assert {words(row[0])[0] for row in table} == set(profiles)
    for name, *cells in table:
        values = [profiles[words(name)[0]].get(field) for field in PROFILE_COLUMNS]
        assert cells == [shown[v] if v is None or isinstance(v, bool) else str(v) for v in values], name


def test_every_label_is_documented_and_every_documented_one_is_read() -> None:
    """Labels are the interface that other people's files use."""
    known = {
        labels.ENABLE,
        labels.DROP_IN,
        labels.PROFILE,
        *(f"{labels.PREFIX}{name}" for name in FIELD_NAMES),
    }
    table = set(first_words(section("docs/configuration.md", "## Labels")))
    assert table == known | {f"{labels.PROBE_PREFIX}<name>"}
    for name, line in all_code():
        for label in re.findall(r"(?<![\w./-])selfheal\.[a-z_]+(?=[=:])", line):
            assert label in known, f"{name}: {label}"


def test_every_command_is_documented() -> None:
    """A command that no page names is found by nobody."""
    ours = {path.stem for path in (ROOT / "healing/management/commands").glob("[a-z]*.py")}
    named = {word for _, line in all_code() for word in re.findall(r"[a-z_]+", line)}
    assert ours - named == set()


def test_every_documented_command_and_option_exists() -> None:
    """What is copied from a page runs."""
    known = get_commands()
    for name, line in all_code():
        for command, rest in re.findall(r"manage\.py ([a-z_]+)([^#|]*)", line):
            assert command in known, f"{name}: {line}"
            parser = load_command_class(known[command], command).create_parser("manage.py", command)
            options = {option for action in parser._actions for option in action.option_strings}
            assert set(re.findall(r"(?<!\S)--[a-z-]+", rest)) <= options | COMPOSE_OPTIONS, f"{name}: {line}"


def test_make_targets_and_pages_agree() -> None:
    """Every target is documented, and `make` of a page exists."""
    found = re.findall(r"^([a-z][a-z -]*):(?!=)", page("Makefile"), flags=re.MULTILINE)
    targets = {target for names in found for target in names.split()}
    named = {target for _, line in all_code() for target in re.findall(r"\bmake ([a-z][a-z-]*)", line)}
    assert targets - {"venv"} <= named
    assert named <= targets


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_relative_link_leads_somewhere(path: Path) -> None:
    """Links to files and to headings in them; pictures too."""
    for link in _LINK.findall(_FENCE.sub("", path.read_text())):
        if link.startswith(("http://", "https://", "mailto:")):
            continue
        target, _, anchor = link.partition("#")
        file = (path.parent / target).resolve() if target else path
        assert file.exists(), f"{path.name}: {link}"
        assert file.is_relative_to(ROOT), f"{path.name}: {link}"
        if anchor:
            assert anchor in _anchors(file.read_text()), f"{path.name}: {link}"


def _anchors(text: str) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", _FENCE.sub("", text), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_both_readmes_show_the_same_commands() -> None:
    """A reader of either language copies the same things."""
    english, chinese = (
        [re.sub(r"\s+#.*", "", block) for block in _FENCE.findall(page(name))]
        for name in ("README.md", "README.zh-CN.md")
    )
    assert english == chinese
    assert set(_LINK.findall(page("README.md"))) - {"README.zh-CN.md"} == (
        set(_LINK.findall(page("README.zh-CN.md"))) - {"README.md"}
    )


def test_shell_blocks_can_be_read_by_a_shell() -> None:
    """A quote that is not closed in a page breaks the reader's terminal."""
    for path in PAGES:
        for block in re.findall(r"^```sh\n(.*?)^```", path.read_text(), flags=re.MULTILINE | re.DOTALL):
            done = subprocess.run(["sh", "-n"], input=block, text=True, capture_output=True, check=False)
            assert done.returncode == 0, f"{path.name}: {done.stderr}"


def test_every_dependency_has_its_reason() -> None:
    """Nothing is installed that nobody can say the use of."""
    files = ("requirements.txt", "requirements-dev.txt")
    listed = {
        n.lower() for file in files for n in re.findall(r"^([A-Za-z][\w.-]*)", page(file), flags=re.MULTILINE)
    }
    table = [row for row in rows(page("docs/dependencies.md")) if len(row) == 2]
    assert {row[0].lower() for row in table} == listed
    assert all(row[1] for row in table)


def test_every_log_action_is_documented() -> None:
    """`action=` is what people search their logs for."""
    sources = [
        path
        for app in ("healing", "notifications", "selfheal_project")
        for path in (ROOT / app).rglob("*.py")
    ]
    logged = {name for path in sources for name in re.findall(r'"action": "([a-z_]+)"', path.read_text())}
    logged |= {
        name
        for call in re.findall(r"_log\([^)]*\)", page("notifications/outcomes.py"))
        for name in re.findall(r'"([a-z]+_[a-z]+)"', call)
    }
    assert set(first_words(section("docs/operations.md", "## Logs"))) == logged


def test_the_layers_are_those_that_the_linter_enforces() -> None:
    """The picture of the layers in the architecture is the contract."""
    contracts = tomllib.loads(page("pyproject.toml"))["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["name"] == "Layers of healing")
    block = _FENCE.findall(section("docs/architecture.md", "### Who may import whom"))[0]
    drawn = [line.split(" | ") for line in block.splitlines()]
    assert drawn == [re.sub(r"[()]", "", layer).split(" : ") for layer in layers]


def test_every_model_is_in_the_data_model() -> None:
    """The architecture names every table."""
    models = {
        model.__name__
        for app in ("healing", "notifications")
        for model in apps.get_app_config(app).get_models()
    }
    assert set(first_words(section("docs/architecture.md", "## Data"))) == models
