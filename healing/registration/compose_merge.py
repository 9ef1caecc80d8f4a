"""How Compose merges a service with what overrides it, and how variables in it are replaced. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from healing.registration.interpolate import InterpolationError, interpolate
from healing.registration.marked import Map, Override, Seq
from healing.registration.rows import Place, RegistrationError

RELEVANT = (
    "container_name",
    "depends_on",
    "deploy",
    "extends",
    "healthcheck",
    "image",
    "labels",
    "network_mode",
    "profiles",
    "restart",
    "scale",
    "x-selfheal",
)
_REPLACED_LISTS = frozenset({"test"})

Unset = Callable[[str, str, Place], None]
"""Told a variable without a value: its name, the field, and the place."""


def merge(base: Map, over: Map) -> Map:
    """`base` overridden by `over`: mappings merge, lists are appended, everything else is replaced."""
    result = Map(over.place)
    for key, value in base.items():
        result.put(key, value, base.at(key))
    for key, value in over.items():
        if isinstance(value, Override):
            result.pop(key, None)
            if value.value is not None:
                result.put(key, value.value, over.at(key))
        elif value is not None or key not in result:
            result.put(key, _merged(key, result.get(key), value), over.at(key))
    return result


def _merged(key: str, old: Any, new: Any) -> Any:
    if isinstance(old, Map) and isinstance(new, Map):
        return merge(old, new)
    if isinstance(old, Seq) and isinstance(new, Seq) and key not in _REPLACED_LISTS:
        result = Seq(new.place)
        for sequence in (old, new):
            for value, place in zip(sequence, sequence.places, strict=True):
                if value not in result:
                    result.push(value, place)
        return result
    return _settled(new)


def _settled(value: Any) -> Any:
    """A value without override tags: there was nothing to override."""
    return merge(Map(value.place), value) if isinstance(value, Map) else value


def replace_variables(value: Any, variables: Mapping[str, str], unset: Unset, place: Place, path: str) -> Any:
    """The tree with the variables in its texts replaced; keys stay. Raise RegistrationError with place and path."""
    if isinstance(value, str):
        try:
            return interpolate(value, variables, lambda name: unset(name, path, place))
        except InterpolationError as error:
            raise RegistrationError(place, path, str(error)) from None
    if isinstance(value, Map):
        mapping = Map(value.place)
        for key, child in value.items():
            child_path = f"{path}.{key}" if path else key
            mapping.put(
                key, replace_variables(child, variables, unset, value.at(key), child_path), value.at(key)
            )
        return mapping
    if isinstance(value, Seq):
        sequence = Seq(value.place)
        for child, child_place in zip(value, value.places, strict=True):
            sequence.push(replace_variables(child, variables, unset, child_place, path), child_place)
        return sequence
    if isinstance(value, Override):
        return Override(replace_variables(value.value, variables, unset, place, path))
    return value


def only_relevant(service: Map) -> Map:
    """The service without what registration does not need: its variables need not be set here."""
    result = Map(service.place)
    for key in service:
        if key in RELEVANT:
            result.put(key, service[key], service.at(key))
    return result


def with_label_map(service: Map) -> Map:
    """The service with its labels as a mapping, whichever of the two forms they are written in."""
    labels = service.get("labels")
    if isinstance(labels, Override):
        if labels.value is not None:
            service["labels"] = Override(label_map(labels.value, service.at("labels")))
    elif labels is not None:
        service["labels"] = label_map(labels, service.at("labels"))
    return service


def with_needs_map(service: Map) -> Map:
    """The service with `depends_on` as a mapping, whichever of the two forms it is written in."""
    needs = service.get("depends_on")
    if isinstance(needs, Seq):
        result = Map(needs.place)
        for name, place in zip(needs, needs.places, strict=True):
            result.put(str(name), Map(place), place)
        service["depends_on"] = result
    return service


def label_map(labels: Any, place: Place) -> Map:
    result = Map(place)
    if isinstance(labels, Map):
        for name, value in labels.items():
            result.put(name, _label_text(value, labels.at(name), name), labels.at(name))
    elif isinstance(labels, Seq):
        for entry, at in zip(labels, labels.places, strict=True):
            if not isinstance(entry, str):
                raise RegistrationError(at, "labels", f'{entry!r} is no label; in a list write "name=value"')
            name, _, text = entry.partition("=")
            result.put(name.strip(), text, at)
    else:
        raise RegistrationError(place, "labels", "write a mapping, or a list of name=value")
    return result


def _label_text(value: Any, place: Place, name: str) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict | list):
        raise RegistrationError(place, f"labels.{name}", "a label's value is a text; put it in quotes")
    return "" if value is None else str(value)
