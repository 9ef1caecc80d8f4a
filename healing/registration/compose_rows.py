"""From the services of a loaded Compose project to the rows of its containers."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from healing.core.depends_on import CONDITIONS, STARTED, Need, as_label
from healing.core.labels import COMPOSE_DEPENDS_ON, COMPOSE_PROJECT, COMPOSE_SERVICE
from healing.core.types import SHARED_NETWORK
from healing.registration.compose_load import PROJECT_NAME, Document, Loader, Project, project_name
from healing.registration.declare import declare, label_findings, truth
from healing.registration.marked import Map
from healing.registration.policy import mapped_healthcheck, mapped_policy, usable, whole
from healing.registration.rows import Finding, Place, Reading, RegistrationError, Row
from healing.registration.sources import Options, Source, variables_for

MAX_REPLICAS = 1_000
CONTAINER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,254}")
_SERVICE_NAME = re.compile(r"[A-Za-z0-9._-]{1,200}")


@dataclass(frozen=True, slots=True)
class Naming:
    """What container names and rows of a project have in common."""

    project: str
    separator: str
    active_profiles: frozenset[str]
    healing_profiles: Collection[str]
    registered_by: str
    services: Mapping[str, Map | RegistrationError] = field(default_factory=dict)


def read_compose(sources: Sequence[Source], options: Options) -> Reading:
    """The rows of one Compose project from files that are merged in order. Raise RegistrationError where nothing can be read."""
    folder = sources[0].folder
    variables = variables_for(folder, options)
    loader = Loader(lambda home, files, outer: variables_for(home, _for_include(files, outer, options)))
    project = loader.load([_document(source, folder, variables) for source in sources])
    naming = Naming(
        project=_project_name(project, sources[0], variables, options),
        separator="_"
        if options.compatibility or variables.get("COMPOSE_COMPATIBILITY") in ("1", "true")
        else "-",
        active_profiles=_active_profiles(variables, options),
        healing_profiles=options.profiles,
        registered_by="file " + ", ".join(source.file for source in sources),
        services=project.services,
    )
    reading = Reading(warnings=list(project.warnings), files_read=len(sources))
    for name, service in project.services.items():
        _read_service(name, service, naming, reading)
    return reading


def _for_include(files: Sequence[str], outer: Any, options: Options) -> Options:
    return Options(environment=outer, env_files=files, profiles=options.profiles)


def _document(source: Source, folder: Path, variables: dict[str, str]) -> Document:
    if not isinstance(source.document, Map):
        raise RegistrationError(
            Place(source.file, 1), "", "is not a Compose file; write services: and what belongs to it"
        )
    return Document(source.file, Path(source.file).resolve(), folder, source.document, variables)


def _project_name(project: Project, source: Source, variables: dict[str, str], options: Options) -> str:
    """The name by Compose's order: option, environment, file, folder."""
    for written in (options.project_name, variables.get("COMPOSE_PROJECT_NAME", "")):
        if written and not PROJECT_NAME.fullmatch(written):
            reason = f"{written!r} is no project name; write lowercase letters, digits, - and _, a letter or digit first"
            raise RegistrationError(Place(source.file), "project name", reason)
        if written:
            return written
    name = project.name or project_name(source.folder.name)
    if not name:
        raise RegistrationError(
            Place(source.file), "name", "the folder's name makes no project name; give --project-name"
        )
    return name


def _active_profiles(variables: dict[str, str], options: Options) -> frozenset[str]:
    written = variables.get("COMPOSE_PROFILES", "").split(",")
    return frozenset(name.strip() for name in (*written, *options.compose_profiles) if name.strip())


def _read_service(name: str, service: Map | RegistrationError, naming: Naming, reading: Reading) -> None:
    try:
        if isinstance(service, RegistrationError):
            raise service
        reason = _why_not(service, naming)
        if reason:
            reading.skipped.append(Finding(service.place, f"services.{name}", reason))
        else:
            rows, warnings = service_rows(name, service, naming)
            reading.rows += rows
            reading.warnings += warnings
    except RegistrationError as refused:
        finding = refused.finding
        path = f"services.{name}"
        field = finding.field if finding.field.startswith("services.") else f"{path}.{finding.field}"
        reading.refused.append(Finding(finding.place, field, finding.reason))


def _why_not(service: Map, naming: Naming) -> str:
    """Why Compose itself would not start this service, or nothing."""
    profiles = service.get("profiles") or []
    if not isinstance(profiles, list):
        raise RegistrationError(service.at("profiles"), "profiles", "write a list of profile names")
    if profiles and not naming.active_profiles & {*map(str, profiles), "*"}:
        return f"its profiles ({', '.join(map(str, profiles))}) are not active; give --profile to register it"
    if _replicas(service) == 0:
        return "it has 0 replicas"
    return ""


def service_rows(name: str, service: Map, naming: Naming) -> tuple[list[Row], list[Finding]]:
    """The rows of one service, one for each replica, and warnings. Raise RegistrationError for what cannot be used."""
    if not _SERVICE_NAME.fullmatch(name):
        raise RegistrationError(
            service.place, "", f"{name!r} is no service name; write letters, digits, dots, - and _"
        )
    mapped, warnings = usable(
        mapped_policy(service) | mapped_healthcheck(service.get("healthcheck"), service.at("healthcheck")),
        service.at("healthcheck"),
    )
    labels = _labels(name, service, naming)
    needs, missing = _needs(service, naming)
    labels |= {COMPOSE_DEPENDS_ON: as_label(needs)} if needs else {}
    warnings += missing
    warnings += label_findings(labels, _label_place(service), naming.healing_profiles)
    rows = [
        Row(
            place=service.place,
            name=container,
            project=naming.project,
            service=name,
            image=_image(service),
            labels=labels,
            mapped=mapped,
            network_mode=_shared_network(service, naming),
            registered_by=naming.registered_by,
        )
        for container in _container_names(name, service, naming)
    ]
    return rows, [Finding(w.place, f"services.{name}.{w.field}", w.reason) for w in warnings]


def _image(service: Map) -> str:
    image = service.get("image") or ""
    if isinstance(image, dict | list) or len(str(image)) > 500:
        raise RegistrationError(service.at("image"), "image", "write the name of an image")
    return str(image)


def _labels(name: str, service: Map, naming: Naming) -> dict[str, str]:
    """What x-selfheal states, under the labels that are written, and those that Compose sets."""
    stated = service.get("x-selfheal") or Map(service.place)
    if not isinstance(stated, Map):
        raise RegistrationError(
            service.at("x-selfheal"), "x-selfheal", "write a mapping of healing config fields"
        )
    declared = declare(stated, stated.at, naming.healing_profiles, "x-selfheal.")
    written = service.get("labels") or {}
    return {**declared, **written, COMPOSE_PROJECT: naming.project, COMPOSE_SERVICE: name}


def _needs(service: Map, naming: Naming) -> tuple[list[Need], list[Finding]]:
    """The services that it depends on, and warnings about those that are not there; Compose itself refuses these."""
    written = service.get("depends_on") or Map(service.place)
    if not isinstance(written, Map):
        raise RegistrationError(
            service.at("depends_on"), "depends_on", "write a list of services, or a mapping of them"
        )
    needs, missing = [], []
    for name, options in written.items():
        place = written.at(name)
        needs.append(_need(name, options, place))
        if name not in naming.services and _option(options, "required", True):
            reason = f"there is no service {name!r}, so nothing waits for it"
            missing.append(Finding(place, f"depends_on.{name}", reason))
    return needs, missing


def _need(name: str, options: Any, place: Place) -> Need:
    path = f"depends_on.{name}"
    if options is not None and not isinstance(options, Map):
        raise RegistrationError(place, path, "write a mapping, such as condition: service_healthy")
    condition = _option(options, "condition", STARTED)
    if condition not in CONDITIONS:
        known = ", ".join(CONDITIONS)
        raise RegistrationError(
            place, f"{path}.condition", f"there is no condition {condition!r}; write {known}"
        )
    restart = truth(_option(options, "restart", False), place, f"{path}.restart")
    return Need(name, condition, restart)


def _option(options: Map | None, name: str, default: Any) -> Any:
    written = options.get(name) if options else None
    return default if written is None else written


def _shared_network(service: Map, naming: Naming) -> str:
    """The container whose network it shares, as far as the file tells; empty where it shares none."""
    written = str(service.get("network_mode") or "")
    kind, _, name = written.partition(":")
    if kind != "service":
        return written[:300] if written.startswith(SHARED_NETWORK) else ""
    other = naming.services.get(name)
    try:
        names = _container_names(name, other, naming) if isinstance(other, Map) else []
    except RegistrationError:
        return ""  # which is told of that service itself
    return SHARED_NETWORK + names[0] if names else ""


def _label_place(service: Map) -> Any:
    labels = service.get("labels")
    return labels.at if isinstance(labels, Map) else lambda name: service.at("labels")


def _container_names(name: str, service: Map, naming: Naming) -> list[str]:
    count = _replicas(service)
    written = service.get("container_name")
    if not written:
        base = f"{naming.project}{naming.separator}{name}{naming.separator}"
        return [f"{base}{number}" for number in range(1, count + 1)]
    place = service.at("container_name")
    if count > 1:
        raise RegistrationError(
            place, "container_name", f"one name cannot serve {count} replicas; remove it or set replicas to 1"
        )
    if not CONTAINER_NAME.fullmatch(str(written)):
        raise RegistrationError(
            place, "container_name", f"{written!r} is no container name; write letters, digits, dots, - and _"
        )
    return [str(written)]


def _replicas(service: Map) -> int:
    """How many containers `scale` or `deploy.replicas` asks for; 1 where neither is there."""
    deploy = service.get("deploy")
    if deploy is not None and not isinstance(deploy, Map):
        raise RegistrationError(service.at("deploy"), "deploy", "write a mapping")
    written = []
    if service.get("scale") is not None:
        written.append(whole(service["scale"], service.at("scale"), "scale", MAX_REPLICAS))
    if deploy is not None and deploy.get("replicas") is not None:
        written.append(whole(deploy["replicas"], deploy.at("replicas"), "deploy.replicas", MAX_REPLICAS))
    if len(set(written)) > 1:
        raise RegistrationError(
            service.at("scale"), "scale", "scale and deploy.replicas differ; keep one of them"
        )
    return written[0] if written else 1
