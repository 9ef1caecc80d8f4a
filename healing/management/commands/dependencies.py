"""`manage.py dependencies …`: which container needs which."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from healing.api.lookup import find_container
from healing.core.dependencies import order
from healing.management.output import as_json, console, rows_table, sentences
from healing.models import Container, Dependency, OnReturn, Origin


class Command(BaseCommand):
    help = "Show, write and remove dependencies: a container is held while one that it needs fails."

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="do", required=True, metavar="list|add|remove")
        shown = actions.add_parser("list", help="what needs what; what is healed first comes first")
        shown.add_argument("name", nargs="?", metavar="NAME", help="only what concerns this container")
        shown.add_argument("--json", action="store_true", help="as JSON")
        added = actions.add_parser("add", help="DEPENDANT needs DEPENDENCY")
        removed = actions.add_parser("remove", help="DEPENDANT does not need DEPENDENCY any more")
        for each in (added, removed):
            each.add_argument("dependant", metavar="DEPENDANT", help="the container that needs the other")
            each.add_argument("dependency", metavar="DEPENDENCY", help="the container that is needed")
        added.add_argument(
            "--on-return",
            choices=[each.value for each in OnReturn],
            default=OnReturn.HOLD.value,
            help="hold: held while the other fails; restart: and restarted when that is back; nothing (default: hold)",
        )
        for each in (shown, added, removed):
            each.add_argument("--host", help="the host, where several have a container of that name")

    def handle(self, *args: Any, **options: Any) -> None:
        with sentences():
            {"list": self._list, "add": self._add, "remove": self._remove}[options["do"]](options)

    def _list(self, options: dict[str, Any]) -> None:
        rows = _chosen(options)
        if options["json"]:
            self.stdout.write(as_json([_data(row) for row in rows]))
        elif not rows:
            self.stdout.write("There is no dependency.")
        else:
            cells = [tuple(_data(row).values()) for row in rows]
            names = ("host", "container", "needs", "on return", "job", "learned from")
            table = rows_table("Dependencies, in the order of healing", names, cells)
            console(self.stdout).print(table)  # type: ignore[arg-type]

    def _add(self, options: dict[str, Any]) -> None:
        dependant, dependency = _pair(options)
        row = Dependency.objects.filter(dependant=dependant, dependency=dependency).first()
        row = row or Dependency(dependant=dependant, dependency=dependency)
        row.on_return = options["on_return"]
        row.origin = row.origin if Origin(row.origin).shares_network else Origin.MANUAL.value
        try:
            row.full_clean()
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from None
        row.save()
        self.stdout.write(f"{dependant.name} needs {dependency.name} (on return: {row.on_return}).")

    def _remove(self, options: dict[str, Any]) -> None:
        dependant, dependency = _pair(options)
        row = Dependency.objects.filter(dependant=dependant, dependency=dependency).first()
        if row is None:
            raise CommandError(
                f"{dependant.name} does not need {dependency.name}: see manage.py dependencies list."
            )
        row.delete()
        learned = row.origin != Origin.MANUAL
        hint = f" It was learned ({row.origin}) and will be again: to have it hold nothing, add it with --on-return nothing."
        self.stdout.write(f"{dependant.name} no longer needs {dependency.name}.{hint if learned else ''}")


def _pair(options: dict[str, Any]) -> tuple[Container, Container]:
    host = options["host"]
    return find_container(options["dependant"], host), find_container(options["dependency"], host)


def _chosen(options: dict[str, Any]) -> list[Dependency]:
    """The rows, those whose dependency is healed first coming first."""
    found = Dependency.objects.select_related("dependant__host", "dependency")
    rows = list(found.order_by("dependant__name", "dependency__name"))
    if options["name"]:
        one = find_container(options["name"], options["host"]).pk
        rows = [row for row in rows if one in (row.dependant_id, row.dependency_id)]
    pairs = [(row.dependant_id, row.dependency_id) for row in rows]
    place = {pk: number for number, pk in enumerate(order((pk for pair in pairs for pk in pair), pairs))}
    return sorted(rows, key=lambda row: (place[row.dependant_id], place[row.dependency_id]))


def _data(row: Dependency) -> dict[str, Any]:
    return {
        "host": row.dependant.host.name,
        "dependant": row.dependant.name,
        "dependency": row.dependency.name,
        "on_return": row.on_return,
        "is_job": row.is_job,
        "origin": row.origin,
    }
