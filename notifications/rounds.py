"""What the flushes of one round share, and one group at its turn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from notifications import mutes
from notifications.core.plan import Item, Silent
from notifications.core.routing import Way
from notifications.models import AlertGroup, Channel, GroupMember
from notifications.routes import Tree, load


@dataclass
class Round:
    """What all flushes of a round share, each read once and only when asked for."""

    now: datetime
    tree: Tree = field(default_factory=load)
    _mutes: mutes.Mutes | None = None
    _channels: dict[int | None, list[Channel]] = field(default_factory=dict)

    @property
    def mutes(self) -> mutes.Mutes:
        if self._mutes is None:
            self._mutes = mutes.read(self.now)
        return self._mutes

    def channels(self, receiver_id: int | None) -> list[Channel]:
        """The enabled channels of a receiver now; of none: all."""
        if receiver_id not in self._channels:
            receiver = self.tree.receivers.get(receiver_id) if receiver_id is not None else None
            found = (
                receiver.channels_now(self.now) if receiver else list(Channel.objects.filter(enabled=True))
            )
            self._channels[receiver_id] = found
        return self._channels[receiver_id]

    def receiver_name(self, receiver_id: int | None) -> str:
        receiver = self.tree.receivers.get(receiver_id) if receiver_id is not None else None
        return receiver.on_duty(self.now).name if receiver else ""


@dataclass
class Turn:
    """One group at its turn."""

    group: AlertGroup
    way: Way | None
    members: Sequence[GroupMember]
    items: dict[str, Item]
    now: datetime
    told: set[str] = field(default_factory=set)
    silent: dict[str, Silent] = field(default_factory=dict)
    messages: list[UUID] = field(default_factory=list)
