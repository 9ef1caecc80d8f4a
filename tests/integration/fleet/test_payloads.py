"""The simulator's JSON has the shape of what was recorded from a real engine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.integration.fleet.conftest import ONE, Scene

RECORDED = Path(__file__).resolve().parents[2] / "data/engines/docker-20.10"

# Keyed by what people choose, or only there where they were chosen.
FREE = {"Labels", "Networks", "Attributes", "Healthcheck", "StopSignal", "StopTimeout", "Warnings"}


def shape(value: Any, key: str = "") -> Any:
    """Nested keys and kinds of values; lists by their first element."""
    if key in FREE:
        return "free"
    if isinstance(value, dict):
        return {name: shape(item, name) for name, item in value.items() if name not in FREE}
    if isinstance(value, list):
        return [shape(item) for item in value[:1]]
    return (
        "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__
    )


def recorded(name: str) -> Any:
    return json.loads((RECORDED / name).read_text())


def body(scene: Scene, path: str) -> Any:
    return scene.one._get(path, path)


def test_version_and_info_are_shaped_as_recorded(scene: Scene) -> None:
    """Who asks the simulator who it is gets an engine's answer."""
    assert shape(body(scene, "/version")) == shape(recorded("version.json"))
    assert shape(body(scene, "/info")) == shape(recorded("info.json"))


@pytest.mark.parametrize("name", ["healthy", "unhealthy", "crashed", "oom"])
def test_inspect_is_shaped_as_recorded(scene: Scene, name: str) -> None:
    """Each state has the fields that it has on a real engine."""
    if name == "unhealthy":
        scene.fleet.do(lambda fleet: fleet.unhealthy(ONE, scene.web))
    elif name in ("crashed", "oom"):
        scene.fleet.do(
            lambda fleet: fleet.oom(ONE, scene.web) if name == "oom" else fleet.die(ONE, scene.web)
        )
    seen, real = body(scene, f"/containers/{scene.web}/json"), recorded(f"inspect-{name}.json")
    for state in (seen["State"], real["State"]):
        state.pop("Health", None) if name in ("crashed", "oom") else None
    assert shape(seen["State"]) == shape(real["State"])
    assert shape(seen["Config"]) == shape(real["Config"])
    assert set(seen) == set(real)
    assert set(seen["NetworkSettings"]) == set(real["NetworkSettings"])


def test_rows_are_shaped_as_recorded(scene: Scene) -> None:
    """The list is what a sweep reads: no key more, none less."""
    rows = scene.one._http.get_json("/containers/json", "list", 5, {"all": "1"})
    real = next(row for row in recorded("list.json") if row["Names"] == ["/healthy"])
    assert {json.dumps(shape(row)) for row in rows} == {json.dumps(shape(real))}


def test_events_are_shaped_as_recorded(scene: Scene) -> None:
    """The same keys for the same action, attributes included."""
    lines = [json.loads(line) for line in (RECORDED / "events.jsonl").read_text().splitlines()]
    real = next(line for line in lines if line["Action"] == "die")
    scene.fleet.do(lambda fleet: fleet.die(ONE, scene.web))
    kept = scene.fleet.do(lambda fleet: fleet.endpoint(ONE).world.events.since(0, 0))
    seen = json.loads(kept[-1].line)
    assert shape(seen) == shape(real)
    assert set(real["Actor"]["Attributes"]) <= set(seen["Actor"]["Attributes"])
