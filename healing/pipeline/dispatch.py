"""The tick: which shards are due to be checked, and which heals have stopped moving."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from healing.models import Overload
from healing.pipeline import breaking, overload
from healing.store import heals, hosts, setback
from healing.store.clock import db_now
from healing.store.heals import Next


@dataclass(frozen=True, slots=True)
class Work:
    """Shards as (host, number, priority), claimed; heals whose stage is due; and overload that people are to be told of.

    The most important come first.
    """

    shards: list[tuple[int, int, int]]
    heals: list[Next]
    news: list[Overload]


def tick(unserved: Collection[str] = ()) -> Work:
    """One tick of beat; `unserved` are names of host queues whose heals nobody takes. Two ticks at once do nothing twice: shards are claimed here, heals by their stages."""
    now = db_now()
    breaking.evaluate(now)
    setback.beat(now)
    news = overload.measure(now)
    return Work(shards=hosts.claim_due_shards(now), heals=heals.due(now, unserved=unserved), news=news)
