"""Loading a Compose project: several files, include, extends, variables; the result is one mapping of services."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from healing.registration import marked
from healing.registration.compose_merge import (
    merge,
    only_relevant,
    replace_variables,
    with_label_map,
    with_needs_map,
)
from healing.registration.marked import Map, Seq
from healing.registration.rows import Finding, Place, RegistrationError
from healing.registration.sources import read_text

PROJECT_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
_REMOTE = re.compile(r"(?:https?|git|ssh|oci)://|git@|github\.com/")


@dataclass(frozen=True, slots=True)
class Document:
    """One parsed Compose file: `file` for messages, `path` for identity, `folder` where its relative paths start."""

    file: str
    path: Path
    folder: Path
    root: Map
    variables: Mapping[str, str]

    @property
    def services(self) -> Map:
        services = self.root.get("services")
        if services is None:
            return Map(self.root.place)
        if not isinstance(services, Map):
            raise RegistrationError(
                self.root.at("services"), "services", "write a mapping of service names to services"
            )
        return services


@dataclass(slots=True)
class Project:
    """A loaded project; `name` is empty where no file says it. A service that cannot be used is its RegistrationError."""

    name: str = ""
    services: dict[str, Map | RegistrationError] = field(default_factory=dict)
    warnings: list[Finding] = field(default_factory=list)


EnvReader = Callable[[Path, Sequence[str], Mapping[str, str]], Mapping[str, str]]
"""The variables in a folder, from these env files (the folder's .env where there are none), under an environment."""


class Loader:
    """Loads the documents of one project. Raise RegistrationError where a file as a whole cannot be used."""

    def __init__(self, read_env: EnvReader) -> None:
        self._read_env = read_env
        self._unset: set[tuple[str, str]] = set()
        self._parsed: dict[Path, Any] = {}
        self._names: dict[Path, str] = {}
        self._settings = Map(Place())
        self.project = Project()

    def load(self, documents: Sequence[Document]) -> Project:
        """Merge the documents in order, as `docker compose -f a -f b` does."""
        for document in documents:
            self._names[document.path] = document.file
            self._add(document, ())
        return self._finished()

    def _finished(self) -> Project:
        """The project, each service with the top-level x-selfheal below its own."""
        for service in self.project.services.values():
            if isinstance(service, Map) and self._settings:
                own = service.get("x-selfheal", Map(service.place))
                merged = merge(self._settings, own) if isinstance(own, Map) else own
                service.put("x-selfheal", merged, service.at("x-selfheal"))
        return self.project

    def _add(self, document: Document, trail: tuple[Document, ...]) -> None:
        self._take_name(document)
        for name, service in self._included(document, trail).items():
            if name in self.project.services:
                raise RegistrationError(
                    document.root.at("include"),
                    "include",
                    f"the service {name!r} is there already; rename one",
                )
            self.project.services[name] = service
        settings = document.root.get("x-selfheal")
        if settings is not None:
            if not isinstance(settings, Map):
                raise RegistrationError(
                    document.root.at("x-selfheal"), "x-selfheal", "write a mapping of healing config fields"
                )
            replaced = self._replaced(document, settings, settings.place, "x-selfheal")
            self._settings = merge(self._settings, replaced)
        for name in document.services:
            self.project.services[name] = self._combined(document, name)

    def _take_name(self, document: Document) -> None:
        name = self._replaced(document, document.root.get("name"), document.root.at("name"), "name")
        if name is None or name == "":
            return
        if not isinstance(name, str) or not PROJECT_NAME.fullmatch(name):
            raise RegistrationError(
                document.root.at("name"),
                "name",
                f"{name!r} is no project name; write lowercase letters, digits, - and _, a letter or digit first",
            )
        self.project.name = name

    def _combined(self, document: Document, name: str) -> Map | RegistrationError:
        """The service of this document on top of what the documents before said about it."""
        before = self.project.services.get(name)
        if isinstance(before, RegistrationError):
            return before
        try:
            service = self._resolve(document, name, ())
        except RegistrationError as refused:
            return refused
        return merge(before if before is not None else Map(service.place), service)

    def _resolve(self, document: Document, name: str, trail: tuple[tuple[Document, str], ...]) -> Map:
        """One service with its variables replaced and everything that it extends below it."""
        path, place = f"services.{name}", document.services.at(name)
        passed = [(step.path, service) for step, service in trail]
        if (document.path, name) in passed:
            steps = (*trail[passed.index((document.path, name)) :], (document, name))
            cycle = " → ".join(f"{step.file}:{service}" for step, service in steps)
            raise RegistrationError(place, f"{path}.extends", f"a cycle: {cycle}; remove one extends")
        service = document.services[name]
        if not isinstance(service, Map):
            raise RegistrationError(place, path, "write a mapping with at least an image or a build")
        service = with_needs_map(
            with_label_map(self._replaced(document, only_relevant(service), place, path))
        )
        service.place = place
        extends = service.pop("extends", None)
        if extends is None:
            return service
        base_document, base_name = self._base(document, extends, service.at("extends"), f"{path}.extends")
        base = self._resolve(base_document, base_name, (*trail, (document, name)))
        return merge(merge(Map(base.place), base), service)

    def _base(self, document: Document, extends: Any, place: Place, field_name: str) -> tuple[Document, str]:
        file = extends.get("file") if isinstance(extends, Map) else None
        name = extends.get("service") if isinstance(extends, Map) else extends
        if not isinstance(name, str) or not isinstance(file, str | None):
            raise RegistrationError(
                place, field_name, "write the service's name, or a mapping with service and file"
            )
        base = (
            document
            if file is None
            else self._document(document.folder / file, document.variables, place, field_name)
        )
        if name not in base.services:
            known = ", ".join(base.services) or "none"
            raise RegistrationError(
                place, field_name, f"there is no service {name!r} in {base.file} (there are: {known})"
            )
        return base, name

    def _document(
        self,
        path: Path,
        variables: Mapping[str, str],
        place: Place,
        field_name: str,
        folder: Path | None = None,
    ) -> Document:
        path = path.resolve()
        name = self._names.setdefault(path, _shown(path))
        if path not in self._parsed:
            try:
                self._parsed[path] = marked.load(read_text(str(path)), name)
            except RegistrationError as refused:
                inner = refused.finding
                if inner.place.line:
                    raise
                raise RegistrationError(place, field_name, f"{inner.place}: {inner.reason}") from None
        root = self._parsed[path]
        if not isinstance(root, Map):
            raise RegistrationError(
                Place(name, 1), "", "is not a Compose file; write services: and what belongs to it"
            )
        return Document(name, path, folder or path.parent, root, variables)

    def _included(
        self, document: Document, trail: tuple[Document, ...]
    ) -> dict[str, Map | RegistrationError]:
        entries = document.root.get("include")
        if entries is None:
            return {}
        if not isinstance(entries, Seq):
            raise RegistrationError(document.root.at("include"), "include", "write a list of files")
        found: dict[str, Map | RegistrationError] = {}
        for entry, place in zip(entries, entries.places, strict=True):
            entry = self._replaced(document, entry, place, "include")
            for name, service in self._include(document, entry, place, trail).items():
                if name in found:
                    raise RegistrationError(
                        place, "include", f"the service {name!r} is included twice; rename one"
                    )
                found[name] = service
        return found

    def _include(
        self, document: Document, entry: Any, place: Place, trail: tuple[Document, ...]
    ) -> dict[str, Map | RegistrationError]:
        settings = entry if isinstance(entry, Map) else {"path": entry}
        paths, folder, env_files = (
            _strings(settings.get(key)) for key in ("path", "project_directory", "env_file")
        )
        if not paths:
            raise RegistrationError(place, "include", "write a file, or a mapping with path")
        for path in paths:
            if _REMOTE.match(path):
                raise RegistrationError(
                    place, "include", f"{path} is not a local file; fetch it and include the copy"
                )
        home = (document.folder / folder[0] if folder else (document.folder / paths[0]).parent).resolve()
        variables = self._read_env(
            home, [str(document.folder / file) for file in env_files], document.variables
        )
        inner = Loader(self._read_env)
        inner._parsed, inner._unset, inner._names = self._parsed, self._unset, self._names
        for path in paths:
            inner_document = self._document(document.folder / path, variables, place, "include", home)
            _refuse_include_cycle(inner_document, (*trail, document), place)
            inner._add(inner_document, (*trail, document))
        self.project.warnings += inner.project.warnings
        return inner._finished().services

    def _replaced(self, document: Document, value: Any, place: Place, path: str) -> Any:
        return replace_variables(value, document.variables, self._note_unset, place, path)

    def _note_unset(self, name: str, path: str, place: Place) -> None:
        if (name, str(place)) not in self._unset:
            self._unset.add((name, str(place)))
            reason = (
                f"the variable {name} is not set and becomes empty; set it, or write ${{{name}:-default}}"
            )
            self.project.warnings.append(Finding(place, path, reason))


def _refuse_include_cycle(document: Document, trail: tuple[Document, ...], place: Place) -> None:
    passed = [step.path for step in trail]
    if document.path in passed:
        files = [step.file for step in trail[passed.index(document.path) :]]
        raise RegistrationError(
            place, "include", f"a cycle: {' → '.join((*files, document.file))}; remove one include"
        )


def _strings(value: Any) -> list[str]:
    if value is None:
        return []
    return [str(entry) for entry in value] if isinstance(value, list) else [str(value)]


def _shown(path: Path) -> str:
    """The path as people are shown it: relative to where they are, if it is below."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def project_name(raw: str) -> str:
    """A folder's name as Compose makes a project name of it; may be empty."""
    return re.sub(r"[^a-z0-9_-]", "", raw.lower()).lstrip("_-")
