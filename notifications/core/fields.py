"""How a channel describes its settings, so that a form with a help text can be made of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

FieldKind = Literal["text", "secret", "url", "integer", "boolean", "lines", "choice", "json"]


@dataclass(frozen=True, slots=True)
class Field:
    """One setting. `name` is its key in the configuration; a `secret` one is never shown again once it is stored.

    In the configuration a `lines` is a list of texts, a `json` an object, an `integer` a number; all else is text or
    true and false. `choices` are pairs of the value and what a person reads, for the kind `choice` only.
    """

    name: str
    label: str
    help: str = ""
    kind: FieldKind = "text"
    secret: bool = False
    required: bool = False
    choices: tuple[tuple[str, str], ...] = ()


def secret_names(fields: tuple[Field, ...]) -> frozenset[str]:
    """The names of those settings that are secrets."""
    return frozenset(field.name for field in fields if field.secret)
