"""Registering what a watcher meets: what is there as it connects, and what starts before its eyes."""

from __future__ import annotations

import logging
from contextlib import suppress

from django.db import InterfaceError, OperationalError

from healing.core.errors import ContainerNotFound
from healing.core.ports import Engine
from healing.core.types import SHARED_NETWORK, Event, Snapshot, Summary
from healing.models import Container, Host
from healing.registration.adoption import adopt, is_set_aside, stable_name, wanted
from healing.registration.learning import learn_host

logger = logging.getLogger(__name__)


def register_wanted(host: Host, engine: Engine) -> list[Container]:
    """Register every container of the engine that is to be supervised and is not known yet."""
    modes = dict(Container.objects.filter(host=host).values_list("engine_id", "network_mode"))
    added, listed = [], engine.list()
    names = {summary.name for summary in listed}
    for summary in listed:
        if summary.id in modes:
            _note_shared_network(host, summary, modes[summary.id])
            continue
        if is_set_aside(summary.name, summary.labels, names):
            continue
        why = wanted(host, summary.labels)
        if why is None:
            continue
        try:
            added.append(adopt(host, engine.inspect(summary.id), why))
        except (OperationalError, InterfaceError):
            raise
        except Exception as error:
            _not_registered(summary.name, error)
    learn_host(host.pk)
    return added


def _note_shared_network(host: Host, summary: Summary, noted: str) -> None:
    """For containers that were registered before this was noted."""
    mode = summary.network_mode[:300]
    if mode.startswith(SHARED_NETWORK) and mode != noted:
        Container.objects.filter(host=host, engine_id=summary.id).update(network_mode=mode)


def _not_registered(name: str, error: Exception) -> None:
    """One container that cannot be registered must not cost its host the stream: the others go on."""
    extra = {"action": "not_registered", "container": name}
    if isinstance(error, ContainerNotFound):
        logger.debug("gone before it was registered", extra=extra)
    else:
        logger.error("cannot be registered: %s", error, extra=extra, exc_info=error)


def register_started(host: Host, engine: Engine, event: Event) -> Container | None:
    """A container that nobody knows has started: supervise it from its first second where it is wanted."""
    try:
        snapshot = engine.inspect(event.container_id)
        why = wanted(host, snapshot.labels) if not _is_replaced(engine, snapshot) else None
        if why is None:
            return None
        container = adopt(host, snapshot, why)
    except (OperationalError, InterfaceError):
        raise
    except Exception as error:
        _not_registered(event.name, error)
        return None
    logger.info("registered", extra={"action": "registered", "container": container.name, "why": why})
    return container


def _is_replaced(engine: Engine, snapshot: Snapshot) -> bool:
    """Whether the engine has another container under this one's lasting name."""
    lasting, names = stable_name(snapshot.name, snapshot.labels), []
    if lasting != snapshot.name:
        with suppress(ContainerNotFound):
            names.append(engine.inspect(lasting).name)
    return is_set_aside(snapshot.name, snapshot.labels, names)
