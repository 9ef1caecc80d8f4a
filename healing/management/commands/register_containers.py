"""register_containers: put containers under supervision, from files or from an engine."""

from __future__ import annotations

import json
import os
import sys
from argparse import RawDescriptionHelpFormatter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from healing.core.errors import ConfigError, PluginError
from healing.models import HealingConfig, Host
from healing.registration.engine import Selection, parse_selection, register_from_engine
from healing.registration.hosts import choose_host, engine_of
from healing.registration.read import read_paths
from healing.registration.rows import Finding, Place, Reading, Report
from healing.registration.sources import Format, Options
from healing.registration.store import Progress as Told
from healing.registration.store import register

EPILOG = """
examples:
  manage.py register_containers compose.yml compose.prod.yml --dry-run
  manage.py register_containers containers.csv --host web-01 --atomic
  docker compose config | manage.py register_containers -
  manage.py register_containers --label team=shop

exit status: 0 all fine, 2 some rows were refused, 1 nothing could be read
"""


class Command(BaseCommand):
    help = (
        "Register containers from Compose files, CSV, JSON and YAML lists, or from an engine. Safe to repeat."
    )

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        parser = super().create_parser(prog_name, subcommand, epilog=EPILOG, **kwargs)
        parser.formatter_class = RawDescriptionHelpFormatter
        return parser

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "paths", nargs="*", metavar="PATH", help="file, folder of a Compose project, or - (stdin)"
        )
        parser.add_argument("--host", metavar="NAME", help="the host they run on (default: the only one)")
        parser.add_argument(
            "--dry-run", action="store_true", help="show what would be done, with the effective config"
        )
        parser.add_argument("--atomic", action="store_true", help="change nothing where one row is refused")
        parser.add_argument("--json", action="store_true", dest="as_json", help="write the report as JSON")
        parser.add_argument(
            "--format", choices=list(Format), default=Format.AUTO, help="what the files are (default: auto)"
        )
        compose = parser.add_argument_group("Compose files")
        compose.add_argument(
            "--project-name", default="", metavar="NAME", help="all Compose files are this project"
        )
        compose.add_argument(
            "--env-file", action="append", default=[], metavar="FILE", help="instead of .env beside the file"
        )
        compose.add_argument(
            "--profile", action="append", default=[], metavar="NAME", help="active Compose profile, * for all"
        )
        compose.add_argument(
            "--compatibility", action="store_true", help="container names with _ as Compose v1 makes them"
        )
        engine = parser.add_argument_group("from the engine, instead of PATH")
        engine.add_argument("--all", action="store_true", help="all containers of the host")
        engine.add_argument(
            "--label", action="append", default=[], metavar="NAME=VALUE", help="those with this label"
        )
        engine.add_argument("--project", default="", metavar="NAME", help="those of this Compose project")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            report = self._run(options)
        except (ConfigError, PluginError) as error:
            field = error.field if isinstance(error, ConfigError) else "engine"
            reason = error.reason if isinstance(error, ConfigError) else str(error)
            report = Report(refused=[Finding(Place(), field, reason)], something_read=False)
        self._show(report, **options)
        if report.exit_status:
            sys.exit(report.exit_status)

    def _run(self, options: dict[str, Any]) -> Report:
        selection = parse_selection(options["all"], options["label"], options["project"])
        if bool(selection) == bool(options["paths"]):
            wanted = "either PATHs, or one of --all, --label and --project"
            raise ConfigError("PATH", f"say what to register: {wanted}, and not both")
        if selection:
            return self._from_engine(choose_host(options["host"]), selection, options)
        reading = read_paths(options["paths"], _reader_options(options))
        return self._write(reading, _default_host(options["host"], reading), options)

    def _from_engine(self, host: Host, selection: Selection, options: dict[str, Any]) -> Report:
        engine = engine_of(host)
        try:
            with _progress(options) as told:
                return register_from_engine(
                    host,
                    engine,
                    selection,
                    dry_run=options["dry_run"],
                    atomic=options["atomic"],
                    progress=told,
                )
        finally:
            engine.close()

    def _write(self, reading: Reading, host: Host | None, options: dict[str, Any]) -> Report:
        with _progress(options) as told:
            return register(
                reading, host, dry_run=options["dry_run"], atomic=options["atomic"], progress=told
            )

    def _show(self, report: Report, as_json: bool, dry_run: bool, atomic: bool, **_: Any) -> None:
        if as_json:
            self.stdout.write(json.dumps(report.as_dict(), indent=2, ensure_ascii=False))
            return
        for container in report.containers or []:
            self._show_container(container)
        for word, findings in (
            ("skipped", report.skipped),
            ("warning", report.warnings),
            ("refused", report.refused),
        ):
            for finding in findings:
                self.stderr.write(f"{word}: {finding}")
        if not report.something_read:
            return
        counts = {name: len(getattr(report, name)) for name in ("created", "updated", "unchanged", "refused")}
        text = ", ".join(f"{count} {name}" for name, count in counts.items())
        if atomic and report.refused:
            text += "; nothing was changed (--atomic)"
        self.stdout.write(f"{'dry run: ' if dry_run else ''}{text}")

    def _show_container(self, container: dict[str, Any]) -> None:
        self.stdout.write(f"{container['name']} on {container['host']}")
        for name, value in container["config"].items():
            if container["origins"][name] not in ("built-in default", "profile default"):
                self.stdout.write(f"  {name} = {value}  ({container['origins'][name]})")


def _reader_options(options: dict[str, Any]) -> Options:
    return Options(
        format=Format(options["format"]),
        environment=dict(os.environ),
        env_files=options["env_file"],
        compose_profiles=options["profile"],
        project_name=options["project_name"],
        compatibility=options["compatibility"],
        profiles=tuple(HealingConfig.objects.values_list("name", flat=True)),
    )


def _default_host(name: str | None, reading: Reading) -> Host | None:
    """The host for rows that name none. Raise ConfigError where one is needed and it is not clear which."""
    if name or any(not row.host for row in reading.rows):
        return choose_host(name)
    return None


@contextmanager
def _progress(options: dict[str, Any]) -> Iterator[Told | None]:
    """A bar on a terminal's stderr; nothing elsewhere."""
    console = Console(stderr=True)
    if options["as_json"] or options["dry_run"] or not console.is_terminal:
        yield None
        return
    columns = TextColumn("registering"), BarColumn(), MofNCompleteColumn()
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("registering", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
