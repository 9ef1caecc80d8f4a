"""Tables, one file a topic: channels, routing, alerts, messages."""

from notifications.models.alert import (
    ActiveAlert,
    AlertGroup,
    GroupMember,
    LogEntry,
    Notification,
)
from notifications.models.channel import Channel, Receiver, RotationMember
from notifications.models.choices import (
    UNDECIDED,
    DeliveryState,
    Digest,
    Language,
    MessageKind,
    NotificationState,
)
from notifications.models.message import (
    Delivery,
    DigestRun,
    GroupMessage,
    MessageItem,
    MessageTemplate,
    UsedLink,
)
from notifications.models.routing import (
    EscalationStep,
    InhibitRule,
    Route,
    Silence,
    TimeInterval,
)

__all__ = [
    "UNDECIDED",
    "ActiveAlert",
    "AlertGroup",
    "Channel",
    "Delivery",
    "DeliveryState",
    "Digest",
    "DigestRun",
    "EscalationStep",
    "GroupMember",
    "GroupMessage",
    "InhibitRule",
    "Language",
    "LogEntry",
    "MessageItem",
    "MessageKind",
    "MessageTemplate",
    "Notification",
    "NotificationState",
    "Receiver",
    "RotationMember",
    "Route",
    "Silence",
    "TimeInterval",
    "UsedLink",
]
