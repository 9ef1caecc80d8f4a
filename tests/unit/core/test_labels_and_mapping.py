"""What labels, restart policies and HEALTHCHECKs say about the healing config."""

from __future__ import annotations

from typing import Any

import pytest

from healing.core.config import FIELD_NAMES
from healing.core.exitcodes import meaning, signal_of
from healing.core.labels import read_labels
from healing.core.mapping import values_from_engine, values_from_healthcheck, values_from_restart
from healing.core.types import HealthCommand, RestartPolicy


@pytest.mark.parametrize(
    ("labels", "enabled"),
    [
        ({}, None),
        ({"selfheal.enable": "true"}, True),
        ({"selfheal.enable": " Yes "}, True),
        ({"selfheal.enable": "false"}, False),
        ({"autoheal": "true"}, True),
        ({"autoheal": "false"}, False),
        ({"selfheal.enable": "false", "autoheal": "true"}, False),
        ({"selfheal.enable": "true", "autoheal": "false"}, True),
        ({"autoheal": "all"}, None),
        ({"selfheal.enable": "maybe", "autoheal": "true"}, True),
    ],
)
def test_enable(labels: dict[str, str], enabled: bool | None) -> None:
    """Our own label says yes or no before the one that it replaces."""
    assert read_labels(labels).enabled is enabled


def test_all_of_a_container() -> None:
    """Profile, values and probes are read, and labels of others are none of our business."""
    found = read_labels(
        {
            "selfheal.enable": "true",
            "selfheal.config": " critical ",
            "selfheal.check_interval": "1",
            "selfheal.found_stopped": "heal",
            "selfheal.probe.web": "http://:8080/healthz",
            "selfheal.probe.db": "tcp://:5432",
            "com.docker.compose.project": "shop",
            "selfhealing": "x",
        }
    )
    assert (found.enabled, found.profile, found.warnings) == (True, "critical", ())
    assert found.values == {"check_interval": 1.0, "found_stopped": "heal"}
    assert found.probes == {"web": "http://:8080/healthz", "db": "tcp://:5432"}


def test_options_of_probes_are_labels_of_their_own() -> None:
    """Good options are kept as written; a bad one is left out and told, and its probe stays."""
    found = read_labels(
        {
            "selfheal.probe.web": "http://:8080/",
            "selfheal.probe.web.interval": "0.2",
            "selfheal.probe.web.status": "200",
            "selfheal.probe.web.timeout": "soon",
            "selfheal.probe.db": "tcp://:5432",
            "selfheal.probe.db.status": "200",
        }
    )
    assert found.probes == {"web": "http://:8080/", "db": "tcp://:5432"}
    assert found.probe_options == {"web": {"interval": "0.2", "status": "200"}, "db": {}}
    no_option, no_number = sorted(found.warnings)
    assert "label selfheal.probe.db.status='200' is ignored: this probe has no such option" in no_option
    assert "label selfheal.probe.web.timeout='soon' is ignored" in no_number


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("selfheal.check_interval", "0", "out of range"),
        ("selfheal.failure_threshold", "-1", "out of range"),
        ("selfheal.max_restart", "3", "there is no such label"),
        ("selfheal.enable", "perhaps", "write true or false"),
        ("selfheal.probe.web", "gopher://x", "gopher"),
        ("selfheal.", "x", "there is no such label"),
    ],
)
def test_a_bad_label_is_ignored_and_told(name: str, text: str, words: str) -> None:
    """A bad label never stops the reading of the others; the warning names it, its text and the reason."""
    found = read_labels({name: text, "selfheal.max_restarts": "7"})
    assert found.values == {"max_restarts": 7}
    assert found.probes == {}
    (warning,) = found.warnings
    assert name in warning
    assert repr(text) in warning
    assert words in warning


@pytest.mark.parametrize(
    ("policy", "written", "values"),
    [
        ("no", True, {"auto_restart": False}),
        ("no", False, {}),
        ("always", True, {"auto_restart": True, "max_restarts": 10}),
        ("unless-stopped", False, {"auto_restart": True, "max_restarts": 10}),
        ("on-failure", True, {"auto_restart": True}),
        ("on-failure:3", True, {"auto_restart": True, "max_restarts": 3}),
        ("on-failure:0", True, {"auto_restart": True}),
        ("on-failure:x", True, {"auto_restart": True}),
        (None, True, {}),
        ("", True, {}),
        ("sometimes", True, {}),
    ],
)
def test_restart_policies(policy: str | None, written: bool, values: dict[str, Any]) -> None:
    """The seed's mapping; only a `no` that a person wrote turns auto_restart off."""
    assert values_from_restart(policy, written=written) == values


def test_healthchecks() -> None:
    """Interval, timeout, retries and start period are taken over; what is missing or zero is left to the profile."""
    assert values_from_healthcheck(5.0, 2.0, 4, 30.0) == {
        "check_interval": 5.0,
        "check_timeout": 2.0,
        "failure_threshold": 4,
        "start_period": 30.0,
    }
    assert values_from_healthcheck(0, None, 0, 0.0) == {}


def test_what_an_engine_says() -> None:
    """A found container has the policy's values, and the HEALTHCHECK's only where it has one."""
    assert values_from_engine(RestartPolicy("on-failure", 4), HealthCommand()) == {
        "auto_restart": True,
        "max_restarts": 4,
    }
    values = values_from_engine(RestartPolicy("no"), HealthCommand(("CMD", "check"), interval=5.0))
    assert "auto_restart" not in values
    assert values["check_interval"] == 5.0
    assert set(values) <= set(FIELD_NAMES)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (0, "finished without an error"),
        (1, "reported an error"),
        (125, "could not run"),
        (126, "cannot be executed"),
        (127, "not found"),
        (137, "SIGKILL"),
        (139, "SIGSEGV"),
        (143, "SIGTERM"),
        (192, "signal 64"),
        (193, "the program's own error code"),
        (42, "the program's own error code"),
        (-1, "the program's own error code"),
    ],
)
def test_exit_codes(code: int, words: str) -> None:
    """Every exit code has a meaning in words, with the code itself before it."""
    text = meaning(code)
    assert text.startswith(f"exit code {code}: ")
    assert words in text or (code == 192 and "ended by" in text)


def test_signals_of_exit_codes() -> None:
    """128 plus a signal's number is that signal; 255 and 128 are none."""
    assert [signal_of(code) for code in (128, 129, 137, 192, 193, 255)] == [None, 1, 9, 64, None, None]
