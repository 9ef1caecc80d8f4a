"""Healing settings that a file states for a container (`x-selfheal`, columns, fields), turned into selfheal.* labels.

Stated settings have the rank of labels, which outrank all else but ceilings; so they are kept as labels.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Mapping
from typing import Any

from healing.core.config import FIELD_NAMES, parse_value
from healing.core.errors import ConfigError
from healing.core.labels import DROP_IN, ENABLE, PREFIX, PROBE_PREFIX, PROFILE, read_labels
from healing.core.probespec import FORMS, group_options, parse_probe
from healing.registration.rows import Finding, Place, RegistrationError

OTHER_KEYS = ("config", "enable", "probes")

At = Callable[[str], Place]


def declare(settings: Mapping[str, Any], at: At, profiles: Collection[str], path: str = "") -> dict[str, str]:
    """The labels that say the same as `settings`; values of None or "" say nothing. Raise RegistrationError at the first bad one.

    `at` gives the place of a key, `profiles` the names that `config` may have, `path` what fields are called in errors.
    """
    labels: dict[str, str] = {}
    for key, value in settings.items():
        if value is None or value == "":
            continue
        name = f"{path}{key}"
        if key == "config":
            labels |= _config(value, at(key), profiles, name)
        elif key == "probes":
            labels |= _probes(value, at(key), name)
        elif key == "enable":
            labels[ENABLE] = "true" if truth(value, at(key), name) else "false"
        elif key in FIELD_NAMES:
            labels[PREFIX + key] = _field(key, value, at(key), name)
        else:
            raise RegistrationError(at(key), name, unknown(key, (*FIELD_NAMES, *OTHER_KEYS)))
    return labels


def unknown(key: str, known: Collection[str]) -> str:
    """The sentence for a field that does not exist."""
    near = difflib.get_close_matches(key, known, 1)
    hint = f"; did you mean {near[0]}?" if near else ""
    return f"there is no field {key!r}{hint} (the fields are {', '.join(known)})"


def truth(value: object, place: Place, name: str) -> bool:
    try:
        return bool(parse_value("auto_restart", value))
    except ConfigError as error:
        raise RegistrationError(place, name, error.reason) from None


def _field(key: str, value: Any, place: Place, name: str) -> str:
    try:
        return as_text(parse_value(key, value))
    except ConfigError as error:
        raise RegistrationError(place, name, error.reason) from None


def as_text(value: object) -> str:
    """A value as a label has it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _config(value: Any, place: Place, profiles: Collection[str], name: str) -> dict[str, str]:
    if isinstance(value, Mapping):
        at: At = getattr(value, "at", lambda key: place)
        return declare(value, at, profiles, f"{name}.")
    profile = str(value).strip()
    if profile not in profiles:
        raise RegistrationError(
            place, name, f"there is no profile {profile!r}; the profiles are {', '.join(sorted(profiles))}"
        )
    return {PROFILE: profile}


def _probes(value: Any, place: Place, name: str) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise RegistrationError(place, name, f"write a mapping of names to {FORMS}")
    at: At = getattr(value, "at", lambda key: place)
    labels: dict[str, str] = {}
    for probe, (target, options) in group_options(value).items():
        labels |= _probe(probe, target, options, at(probe), name)
    return labels


def _probe(probe: str, written: Any, options: dict[str, Any], place: Place, name: str) -> dict[str, str]:
    """`written` is the probe's text, or a mapping of its `target` and options."""
    field_name = f"{name}.{probe}"
    if isinstance(written, Mapping):
        options = {key: value for key, value in written.items() if key != "target"} | options
        written = written.get("target")
    if not isinstance(written, str):
        raise RegistrationError(
            place, field_name, f"write {FORMS}, or a mapping with that as target, and options"
        )
    texts = {key: as_text(value) for key, value in options.items() if value not in (None, "")}
    try:
        label = parse_probe(probe, written, texts).text
    except ConfigError as error:
        option = error.field.removeprefix(f"probe.{probe}")
        raise RegistrationError(place, f"{field_name}{option}", error.reason) from None
    return {PROBE_PREFIX + probe: label} | {
        f"{PROBE_PREFIX}{probe}.{key}": text for key, text in texts.items()
    }


def label_findings(labels: Mapping[str, str], at: At, profiles: Collection[str]) -> list[Finding]:
    """Warnings about the labels of one container: what is wrong in them is ignored, and says so."""
    found = []
    for text in read_labels(labels).warnings:
        label = next((name for name in labels if text.startswith(f"label {name}=")), "")
        found.append(Finding(at(label), f"labels.{label}", text))
    profile = labels.get(PROFILE, "").strip()
    if profile and profile not in profiles:
        text = f"there is no profile {profile!r}, so the label is ignored; the profiles are {', '.join(sorted(profiles))}"
        found.append(Finding(at(PROFILE), f"labels.{PROFILE}", text))
    return found


def is_ours(label: str) -> bool:
    """Whether a label says something to Selfheal."""
    return label == DROP_IN or label.startswith(PREFIX)
