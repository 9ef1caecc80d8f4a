"""Reading inputs: files, folders and standard input; which format they have; what variables a Compose file sees."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from healing.registration import marked
from healing.registration.envfile import parse_env
from healing.registration.marked import Map, Seq
from healing.registration.rows import Place, RegistrationError

COMPOSE_NAMES = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")
STDIN = "-"
MAX_BYTES = 100_000_000


class Format(StrEnum):
    """What an input is written as; `yaml` and `json` are lists of containers."""

    AUTO = "auto"
    COMPOSE = "compose"
    CSV = "csv"
    JSON = "json"
    YAML = "yaml"


@dataclass(frozen=True, slots=True)
class Options:
    """What the caller says about the inputs. `environment` outranks env files; `profiles` are healing profiles."""

    format: Format = Format.AUTO
    environment: Mapping[str, str] = field(default_factory=dict)
    env_files: Sequence[str] = ()
    compose_profiles: Sequence[str] = ()
    project_name: str = ""
    compatibility: bool = False
    profiles: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Source:
    """One input that was read. `folder` is where relative paths in it start, `document` its YAML if that was parsed."""

    file: str
    text: str
    folder: Path
    format: Format
    document: Any = None


def find_files(path: str) -> list[str]:
    """The files that a PATH means: itself, or a folder's Compose file with its override."""
    if path == STDIN or not Path(path).is_dir():
        return [path]
    for name in COMPOSE_NAMES:
        found = Path(path) / name
        if found.is_file():
            override = [found.with_name(f"{found.stem}.override{suffix}") for suffix in (".yaml", ".yml")]
            return [str(found), *(str(file) for file in override if file.is_file())][:2]
    raise RegistrationError(Place(path), "", f"the folder has no {', '.join(COMPOSE_NAMES)}; name the file")


def read_text(path: str) -> str:
    """The text of a file or of standard input. Raise RegistrationError for what cannot be read or is not UTF-8."""
    try:
        raw = sys.stdin.buffer.read(MAX_BYTES + 1) if path == STDIN else _read_bytes(Path(path))
    except OSError as error:
        raise RegistrationError(
            Place(path), "", f"cannot be read: {error.strerror or error}; check the path"
        ) from None
    if len(raw) > MAX_BYTES:
        raise RegistrationError(Place(path), "", "is over 100 MB; split it")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise RegistrationError(Place(path, line), "", "is not UTF-8 text; save it as UTF-8") from None


def _read_bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MAX_BYTES + 1)


def open_source(path: str, wanted: Format) -> Source:
    """Read one input and find its format from the option, the file's ending and the content, in this order."""
    text = read_text(path)
    name = "standard input" if path == STDIN else path
    folder = Path.cwd() if path == STDIN else Path(path).resolve().parent
    form = wanted if wanted is not Format.AUTO else _by_ending(path)
    if form is Format.AUTO:
        form = _by_first_character(text)
    if form is Format.CSV:
        return Source(name, text, folder, form)
    if form is Format.JSON and (wanted is Format.JSON or not _is_json_compose(text)):
        return Source(name, text, folder, form)
    document = marked.load(text, name)
    if form is Format.AUTO and not isinstance(document, dict | list):
        return Source(name, text, folder, Format.CSV)
    if form not in (Format.COMPOSE, Format.YAML) or wanted is Format.AUTO:
        form = _by_content(document, name)
    return Source(name, text, folder, form, document)


def _by_ending(path: str) -> Format:
    endings = {
        ".csv": Format.CSV,
        ".tsv": Format.CSV,
        ".json": Format.JSON,
        ".yml": Format.YAML,
        ".yaml": Format.YAML,
    }
    return endings.get(Path(path).suffix.lower(), Format.AUTO)


def _by_first_character(text: str) -> Format:
    """JSON where it begins so; CSV where the first line is a header; else left to the YAML parser."""
    first = text.lstrip().split("\n", 1)[0].strip()
    if first[:1] in ("{", "["):
        return Format.JSON
    cells = [cell.strip().strip('"') for cell in re.split(r"[,;\t]", first)]
    return Format.CSV if "name" in cells else Format.AUTO


def _is_json_compose(text: str) -> bool:
    """JSON is YAML, so a Compose file may be JSON too."""
    return bool(re.match(r"\s*\{", text) and re.search(r'"services"\s*:\s*\{', text))


def _by_content(document: Any, file: str) -> Format:
    if isinstance(document, Seq):
        return Format.YAML
    if isinstance(document, Map):
        if "services" in document or "include" in document:
            return Format.COMPOSE
        if "containers" in document:
            return Format.YAML
    raise RegistrationError(
        Place(file, 1),
        "",
        "is neither a Compose file (with services:) nor a list of containers; see docs/registration.md",
    )


def variables_for(folder: Path, options: Options) -> dict[str, str]:
    """What ${…} sees: the env files given, else .env in the folder; the environment outranks them."""
    files = [str(path) for path in options.env_files]
    if not files and (folder / ".env").is_file():
        files = [str(folder / ".env")]
    variables: dict[str, str] = {}
    for file in files:
        variables |= parse_env(read_text(file), file, options.environment)
    return variables | dict(options.environment)
