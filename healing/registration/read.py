"""From PATHs to rows: which files belong together, and which reader reads them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from healing.registration.compose_rows import read_compose
from healing.registration.marked import Map
from healing.registration.rows import Place, Reading, RegistrationError
from healing.registration.sources import Format, Options, Source, find_files, open_source
from healing.registration.tables import read_table


def read_paths(paths: Sequence[str], options: Options) -> Reading:
    """Everything that the inputs say; an input that cannot be read is one refusal and adds no row."""
    reading = Reading()
    sources: list[Source] = []
    broken: list[Path] = []
    for path in paths:
        try:
            sources += [open_source(file, options.format) for file in find_files(path)]
        except RegistrationError as refused:
            reading.refused.append(refused.finding)
            broken.append(Path(path).resolve())
    for group in grouped(sources, options):
        try:
            compose = group[0].format is Format.COMPOSE
            if compose:
                _refuse_incomplete(group, broken, options)
            reading.add(read_compose(group, options) if compose else read_table(group[0], options))
        except RegistrationError as refused:
            reading.refused.append(refused.finding)
    return reading


def _refuse_incomplete(group: Sequence[Source], broken: Sequence[Path], options: Options) -> None:
    """Refuse a Compose project of which another file could not be read: what that file says is not known."""
    for path in broken:
        beside = path.parent == group[0].folder or path == group[0].folder
        if path.suffix in (".yml", ".yaml", "") and (beside or options.project_name):
            reason = f"not registered, because {path.name} beside it cannot be read; mend that file, or run without it"
            raise RegistrationError(Place(group[0].file), "", reason)


def grouped(sources: Sequence[Source], options: Options) -> list[list[Source]]:
    """Compose files of one folder are one project, merged in order, unless they name different projects.

    With --project-name all Compose files are one project. Every list of containers stands for itself.
    """
    groups: list[list[Source]] = []
    for source in sources:
        for group in groups if source.format is Format.COMPOSE else []:
            if group[0].format is Format.COMPOSE and _together(group, source, options):
                group.append(source)
                break
        else:
            groups.append([source])
    return groups


def _together(group: Sequence[Source], source: Source, options: Options) -> bool:
    if options.project_name:
        return True
    if group[0].folder != source.folder:
        return False
    names = {name for member in (*group, source) if (name := _written_name(member))}
    return len(names) < 2


def _written_name(source: Source) -> str:
    name = source.document.get("name") if isinstance(source.document, Map) else None
    return str(name or "")
