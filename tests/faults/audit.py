"""What PostgreSQL itself saw: every claim of a heal, and every write by one who had claimed it before and lost it.

A thread of a worker has one connection, so the server's process behind it tells who writes. Triggers note in the writer's
own transaction: what was rolled back is not there.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.testbed.services import execute

_INSTALL = """
CREATE TABLE IF NOT EXISTS audit_claim (
    id bigserial PRIMARY KEY, at timestamptz DEFAULT clock_timestamp(), failure bigint, fence bigint, backend int
);
CREATE TABLE IF NOT EXISTS audit_stale (
    id bigserial PRIMARY KEY, at timestamptz DEFAULT clock_timestamp(), failure bigint, fence bigint, what text
);
CREATE INDEX IF NOT EXISTS audit_claims ON audit_claim (failure, id);

CREATE OR REPLACE FUNCTION audit_judge(its_failure bigint, its_fence bigint, deed text) RETURNS void AS $$
DECLARE latest int; mine bigint;
BEGIN
    SELECT backend INTO latest FROM audit_claim WHERE failure = its_failure ORDER BY id DESC LIMIT 1;
    SELECT max(fence) INTO mine FROM audit_claim WHERE failure = its_failure AND backend = pg_backend_pid();
    IF mine IS NOT NULL AND latest IS DISTINCT FROM pg_backend_pid() THEN
        INSERT INTO audit_stale (failure, fence, what) VALUES
            (its_failure, its_fence, deed || ' with fence ' || mine || ' while ' || its_fence || ' holds');
    END IF;
END $$ LANGUAGE plpgsql;

CREATE OR REPLACE FUNCTION audit_failure() RETURNS trigger AS $$
BEGIN
    IF NEW.fence = OLD.fence + 1 AND NEW.lease_until IS NOT NULL THEN
        INSERT INTO audit_claim (failure, fence, backend) VALUES (NEW.id, NEW.fence, pg_backend_pid());
    ELSIF NEW.fence = OLD.fence AND (NEW.stage, NEW.action_result, NEW.reason, NEW.resolved_at, NEW.alert_level)
            IS DISTINCT FROM (OLD.stage, OLD.action_result, OLD.reason, OLD.resolved_at, OLD.alert_level)
            AND OLD.stage <> 'observe' AND OLD.is_found THEN
        PERFORM audit_judge(NEW.id, NEW.fence, OLD.stage || ' to ' || NEW.stage);
    END IF;
    RETURN NULL;
END $$ LANGUAGE plpgsql;

CREATE OR REPLACE FUNCTION audit_attempt() RETURNS trigger AS $$
BEGIN
    PERFORM audit_judge(f.id, f.fence, 'attempt ' || NEW.number || ' ' || NEW.state)
        FROM healing_failurerecord f WHERE f.id = NEW.failure_id;
    RETURN NULL;
END $$ LANGUAGE plpgsql;

CREATE OR REPLACE TRIGGER audit_failure AFTER UPDATE ON healing_failurerecord
    FOR EACH ROW EXECUTE FUNCTION audit_failure();
CREATE OR REPLACE TRIGGER audit_attempt AFTER INSERT OR UPDATE ON healing_attempt
    FOR EACH ROW EXECUTE FUNCTION audit_attempt();
"""


@dataclass(frozen=True, slots=True)
class StaleWrite:
    """`what` was written for a heal by one whose claim was over."""

    failure: int
    what: str


def install(database: str) -> None:
    """Add the triggers to a database that has its tables."""
    execute(database, _INSTALL)


def stale_writes(database: str, since: float) -> list[StaleWrite]:
    """Those that were committed from `since` (seconds since 1970) on."""
    rows = execute(
        database, f"SELECT failure, what FROM audit_stale WHERE at >= to_timestamp({since!r}) ORDER BY id"
    )
    return [StaleWrite(int(failure), str(what)) for failure, what in rows]


def claims(database: str, since: float) -> int:
    """How many claims of heals were committed from `since` (seconds since 1970) on."""
    rows = execute(database, f"SELECT count(*) FROM audit_claim WHERE at >= to_timestamp({since!r})")
    return int(rows[0][0])
