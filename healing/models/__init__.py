"""All models of the healing app, one file a topic."""

from healing.core.breaker import BreakerMode
from healing.core.dependencies import OnReturn, Origin
from healing.models.config import ConfigCeiling, HealingConfig, Probe
from healing.models.dependency import Dependency
from healing.models.fleet import (
    AutoRegister,
    Breaker,
    Container,
    Controlled,
    EngineKind,
    Host,
    HostState,
    Project,
    Scope,
    Service,
    Tenant,
)
from healing.models.maintenance import MaintenanceWindow, Recurrence
from healing.models.record import Attempt, AttemptState, FailureRecord, HealthStatus, Stage
from healing.models.system import CheckShard, DeadLetter, Heartbeat, Overload, PutOff, SystemState, Trouble

__all__ = [
    "Attempt",
    "AttemptState",
    "AutoRegister",
    "Breaker",
    "BreakerMode",
    "CheckShard",
    "ConfigCeiling",
    "Container",
    "Controlled",
    "DeadLetter",
    "Dependency",
    "EngineKind",
    "FailureRecord",
    "HealingConfig",
    "HealthStatus",
    "Heartbeat",
    "Host",
    "HostState",
    "MaintenanceWindow",
    "OnReturn",
    "Origin",
    "Overload",
    "Probe",
    "Project",
    "PutOff",
    "Recurrence",
    "Scope",
    "Service",
    "Stage",
    "SystemState",
    "Tenant",
    "Trouble",
]
