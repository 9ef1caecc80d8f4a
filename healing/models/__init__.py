"""All models of the healing app, one file a topic."""

from healing.models.config import ConfigCeiling, HealingConfig, Probe
from healing.models.fleet import (
    AutoRegister,
    Container,
    EngineKind,
    Host,
    HostState,
    Project,
    Scope,
    Service,
    Tenant,
)
from healing.models.record import Attempt, AttemptState, FailureRecord, HealthStatus, Stage
from healing.models.system import CheckShard, Heartbeat, Overload, PutOff, SystemState, Trouble

__all__ = [
    "Attempt",
    "AttemptState",
    "AutoRegister",
    "CheckShard",
    "ConfigCeiling",
    "Container",
    "EngineKind",
    "FailureRecord",
    "HealingConfig",
    "HealthStatus",
    "Heartbeat",
    "Host",
    "HostState",
    "Overload",
    "Probe",
    "Project",
    "PutOff",
    "Scope",
    "Service",
    "Stage",
    "SystemState",
    "Tenant",
    "Trouble",
]
