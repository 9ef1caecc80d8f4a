"""Programs that are run with a message, real ones."""

from __future__ import annotations

import json
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from notifications.channels import build
from notifications.channels.command import CommandChannel
from notifications.core.errors import ConfigError, PermanentError, TemporaryError
from tests.contract.channels.samples import MESSAGE


def script(tmp_path: Path, text: str) -> str:
    path = tmp_path / "page"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def is_gone(pid: int) -> bool:
    """Ended, or a zombie that only waits for its parent's look."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return True
    return state in "ZX"


def test_message_comes_as_json_and_as_variables(tmp_path: Path) -> None:
    """Protects scripts: everything in JSON, the most used in variables."""
    text = 'cat >"$1"; echo "$SELFHEAL_ALERT_LEVEL $SELFHEAL_ALERT_TITLE on $SELFHEAL_ALERT_HOST ($SELFHEAL_ALERT_STATUS)"'
    answer = build("command", {"command": [script(tmp_path, text), str(tmp_path / "got")]}).send(MESSAGE)
    assert answer == "page ended with 0: critical web is down on local (firing)"
    assert json.loads((tmp_path / "got").read_text()) == json.loads(json.dumps(MESSAGE.payload()))


def test_there_is_no_shell(tmp_path: Path) -> None:
    """Protects from arguments, and from texts of containers, that a shell would run."""
    hostile = replace(MESSAGE, alert=replace(MESSAGE.alert, title="$(touch pwned); `id`"))
    config = {"command": ["/usr/bin/printf", "%s", "$(id); a b"]}
    assert build("command", config).send(hostile) == "printf ended with 0: $(id); a b"


def test_our_environment_stays_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Protects our secrets, which stand in our environment; its own are given, and masked in what it says."""
    monkeypatch.setenv("DATABASE_URL", "postgres://user:pa55word@db/x")
    monkeypatch.setenv("SELFHEAL_SECRET_KEY", "of-django")
    seen = script(tmp_path, "env | grep -E 'DATABASE_URL|SECRET_KEY|PAGER'")
    config = {"command": [seen], "environment": {"PAGER_TOKEN": "t0ken-of-mine"}}
    assert build("command", config).send(MESSAGE) == "page ended with 0: PAGER_TOKEN=***"
    assert "t0ken" not in repr(CommandChannel.from_config(config))


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        ("echo later; exit 75", TemporaryError, "page ended with 75: later"),
        ("echo no >&2; exit 1", PermanentError, "page ended with 1: no"),
        ("exit 127", PermanentError, "page ended with 127"),
        ("kill -9 $$", PermanentError, "page was killed by signal 9"),
    ],
)
def test_exit_code_decides(text: str, error: type[Exception], said: str, tmp_path: Path) -> None:
    """Protects from repeats that cannot help, and alerts from being given up where they may."""
    with pytest.raises(error) as fault:
        build("command", {"command": [script(tmp_path, text)]}).send(MESSAGE)
    assert str(fault.value) == said


def test_program_is_killed_at_its_limit_with_all_it_started(tmp_path: Path) -> None:
    """Protects the machine from programs that hang, and from their children, which go on."""
    text = f"sleep 60 & echo $! >{tmp_path}/child; sleep 60"
    channel = CommandChannel((script(tmp_path, text),), time_limit=1.5)
    started = time.monotonic()
    with pytest.raises(TemporaryError, match=r"page was killed after 1\.5 s"):
        channel.send(MESSAGE)
    assert time.monotonic() - started < 20
    child = int((tmp_path / "child").read_text())
    end = time.monotonic() + 10
    while not is_gone(child) and time.monotonic() < end:
        time.sleep(0.01)
    assert is_gone(child)


def test_child_that_keeps_the_output_open_is_not_waited_for(tmp_path: Path) -> None:
    """Protects the worker from a script that starts something for later."""
    answer = build(
        "command", {"command": [script(tmp_path, f"sleep 60 & echo $! >{tmp_path}/child; echo done")]}
    ).send(MESSAGE)
    assert answer == "page ended with 0: done"
    os.kill(int((tmp_path / "child").read_text()), 9)


@pytest.mark.parametrize("text", ["yes", "exec >&- 2>&-; sleep 60"])
def test_output_without_end_and_none_at_all(text: str, tmp_path: Path) -> None:
    """Protects memory from a program that talks without end, and the limit from one that closes its output."""
    with pytest.raises(TemporaryError, match="was killed"):
        CommandChannel((script(tmp_path, text),), time_limit=0.3).send(MESSAGE)


def test_long_output_is_shown_short(tmp_path: Path) -> None:
    """Protects the delivery log."""
    answer = build("command", {"command": [script(tmp_path, "seq 1 100000; printf '\\033[31m'")]}).send(
        MESSAGE
    )
    assert answer.startswith("page ended with 0: 1 2 3 ")
    assert len(answer) < 500


def test_program_that_is_not_there_is_permanent(tmp_path: Path) -> None:
    """Protects people: the reason names the program."""
    with pytest.raises(PermanentError, match="/absent cannot be run: No such file"):
        build("command", {"command": ["/absent"]}).send(MESSAGE)
    (tmp_path / "plain").write_text("x")
    with pytest.raises(PermanentError, match="Permission denied"):
        build("command", {"command": [str(tmp_path / "plain")]}).send(MESSAGE)


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({}, "command"),
        ({"command": []}, "command"),
        ({"command": "/bin/true"}, "command"),
        ({"command": ["true"]}, "command"),
        ({"command": ["/bin/true", ""]}, "command"),
        ({"command": ["/bin/true", "a\0b"]}, "command"),
        ({"command": ["/bin/true"], "time_limit": 0}, "time_limit"),
        ({"command": ["/bin/true"], "time_limit": 60}, "time_limit"),
        ({"command": ["/bin/true"], "time_limit": True}, "time_limit"),
        ({"command": ["/bin/true"], "environment": []}, "environment"),
        ({"command": ["/bin/true"], "environment": {"A=B": "x"}}, "environment"),
        ({"command": ["/bin/true"], "environment": {"A": 5}}, "environment"),
    ],
)
def test_config_is_refused_at_its_field(config: dict[str, Any], field: str) -> None:
    """Protects the form, which shows the error beside the field."""
    with pytest.raises(ConfigError) as refusal:
        build("command", config)
    assert refusal.value.field == field
