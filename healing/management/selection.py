"""What a command is to act on. An empty selection means nothing, never everything."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from healing.api.control import Pausable
from healing.api.lookup import find_container, find_host, find_project, find_service, find_tenant
from healing.models import SystemState

_EMPTY = (
    "Nothing is selected, so nothing was done. Say what is meant: --container NAME, --service PROJECT/NAME, "
    "--project NAME, --host NAME, --tenant NAME, or --all for everything."
)


def add_scope_arguments(parser: ArgumentParser) -> None:
    """--container, --service, --project, --host, --tenant (each may be repeated) and --all."""
    parser.add_argument(
        "--container", action="append", default=[], metavar="NAME", help="a container; may be repeated"
    )
    parser.add_argument("--service", action="append", default=[], metavar="PROJECT/NAME", help="a service")
    parser.add_argument("--project", action="append", default=[], metavar="NAME", help="a project")
    parser.add_argument(
        "--host",
        action="append",
        default=[],
        metavar="NAME",
        help="a host; together with --container it says on which host that container is",
    )
    parser.add_argument("--tenant", action="append", default=[], metavar="NAME", help="a tenant")
    parser.add_argument("--all", action="store_true", help="everything")


def selected_scopes(options: dict[str, Any]) -> list[Pausable]:
    """The objects that the arguments name. Raise CommandError for none, LookupFailed for a wrong name."""
    if options["all"]:
        return _everything(options)
    scopes: list[Pausable] = _containers(options["container"], options["host"])
    scopes += [find_service(name) for name in options["service"]]
    scopes += [find_project(name) for name in options["project"]]
    scopes += [find_tenant(name) for name in options["tenant"]]
    if not options["container"]:
        scopes += [find_host(name) for name in options["host"]]
    if not scopes:
        raise CommandError(_EMPTY)
    return scopes


def _everything(options: dict[str, Any]) -> list[Pausable]:
    if is_narrowed(options):
        raise CommandError("--all means everything and goes with no other selection: leave one of them out.")
    return [SystemState.objects.get_or_create(pk=1)[0]]


def is_narrowed(options: dict[str, Any]) -> bool:
    """Whether a container, service, project, host or tenant is named."""
    return any(options[name] for name in ("container", "service", "project", "host", "tenant"))


def _containers(names: list[str], hosts: list[str]) -> list[Pausable]:
    if names and len(hosts) > 1:
        raise CommandError("With --container, give --host once: it says on which host the container is.")
    return [find_container(name, hosts[0] if hosts else None) for name in names]


def scope_label(scope: Pausable) -> str:
    """`container web`, `project shop`, `everything`."""
    return "everything" if isinstance(scope, SystemState) else f"{scope._meta.verbose_name} {scope}"
