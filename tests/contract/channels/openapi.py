"""Checks JSON by the rules of an OpenAPI 2 file, as far as Alertmanager's uses them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

FILE = Path(__file__).resolve().parents[2] / "data/alertmanager/openapi.yaml"
_DATE_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
_TYPES = {"object": dict, "array": list, "string": str, "boolean": bool}


class Rules:
    """`faults` are sentences; properties that the file does not know are faults too."""

    def __init__(self) -> None:
        self.file: dict[str, Any] = yaml.safe_load(FILE.read_text())

    def faults(self, value: Any, method: str, path: str) -> list[str]:
        (parameter,) = self.file["paths"][path][method]["parameters"]
        return list(self._check(value, parameter["schema"], "body"))

    def _check(self, value: Any, schema: dict[str, Any], where: str) -> Iterator[str]:
        schema = self._whole(schema)
        if not isinstance(value, _TYPES[schema["type"]]):
            yield f"{where} is no {schema['type']}: {value!r}"
        elif schema["type"] == "array":
            for number, item in enumerate(value):
                yield from self._check(item, schema["items"], f"{where}[{number}]")
        elif schema["type"] == "object":
            yield from self._check_object(value, schema, where)
        elif not _has_format(value, schema.get("format")):
            yield f"{where} is no {schema['format']}: {value!r}"

    def _check_object(self, value: dict[str, Any], schema: dict[str, Any], where: str) -> Iterator[str]:
        yield from (f"{where} lacks {name}" for name in schema.get("required", []) if name not in value)
        for name, item in value.items():
            rule = schema.get("properties", {}).get(name, schema.get("additionalProperties"))
            if rule is None:
                yield f"{where} has an unknown {name}"
            else:
                yield from self._check(item, rule, f"{where}.{name}")

    def _whole(self, schema: dict[str, Any]) -> dict[str, Any]:
        """With references and `allOf` put in."""
        while "$ref" in schema:
            schema = self.file["definitions"][schema["$ref"].rpartition("/")[2]]
        if "allOf" not in schema:
            return schema
        parts = [self._whole(part) for part in schema["allOf"]]
        properties = {name: rule for part in parts for name, rule in part["properties"].items()}
        required = [name for part in parts for name in part.get("required", [])]
        return {"type": "object", "properties": properties, "required": required}


def _has_format(value: str, wanted: str | None) -> bool:
    if wanted == "date-time":
        return _DATE_TIME.fullmatch(value) is not None
    return wanted != "uri" or bool(urlsplit(value).scheme)
