"""What happens to heals when people, engines and clocks interfere at awkward moments."""

from __future__ import annotations

from datetime import timedelta
from unittest import mock

import pytest
from django.utils import timezone

from healing import commands
from healing.core.errors import EngineUnreachable
from healing.core.types import EngineHealth, ExecResult, FailureType, Lifecycle
from healing.engines.fake import FakeEngine, Outcome
from healing.models import (
    Attempt,
    AttemptState,
    Container,
    FailureRecord,
    HealthStatus,
    Host,
    HostState,
    Stage,
)
from healing.pipeline import check, diagnosing, engines, restarting, verifying
from healing.pipeline import hosts as host_stage
from healing.store import heals, hosts, statuses, windows
from healing.watchers import show_alive
from notifications.models import Notification
from tests.integration.loop.timeline import Timeline

LABELS = {"selfheal.enable": "true"}

pytestmark = pytest.mark.django_db


def started(timeline: Timeline, *names: str, **fields: object) -> list[Container]:
    """Containers with a HEALTHCHECK that have been up, and seen healthy, for a minute."""
    for name in names:
        timeline.fake.add(name, **{"labels": LABELS, "healthcheck": True, **fields})  # type: ignore[arg-type]
    timeline.watch()
    timeline.run(60)
    return [Container.objects.get(name=name) for name in names]


def failure_of(container: Container, **fields: object) -> FailureRecord:
    """An open failure of a container, at stage diagnose."""
    values = {"failure_type": FailureType.HEALTH_CHECK_FAILED, "error_message": "no answer", **fields}
    opened = heals.open_failure(container, timezone.now(), **values)
    assert opened is not None
    return opened


def intended(timeline: Timeline, container: Container) -> FailureRecord:
    """A failure whose restart is decided and not yet made."""
    timeline.fake.make_unhealthy(container.name)
    failure = failure_of(container)
    following = diagnosing.run(failure.pk)
    assert following is not None and following.stage is Stage.RESTART
    failure.refresh_from_db()
    return failure


def touched(timeline: Timeline) -> list[str]:
    return [call.method for call in timeline.fake.calls if call.method in ("start", "restart")]


def titles() -> list[str]:
    return list(Notification.objects.order_by("created_at").values_list("title", flat=True))


class TestSight:
    def test_a_slow_answer_does_not_end_what_the_held_stream_is_worth(self, timeline: Timeline) -> None:
        """A stream that never broke still tells a killed container from one that was stopped by hand."""
        (container,) = started(timeline, "web")
        host_stage.lost(timeline.host, "no answer in time", timezone.now())
        timeline.run(90)
        show_alive([timeline._watcher])

        timeline.fake.kill("web")
        timeline.run(30)

        assert FailureRecord.objects.filter(container=container, is_found=True).count() == 1
        assert touched(timeline) == ["start"]

    def test_one_container_whose_inspection_hangs_is_not_the_whole_host(self, timeline: Timeline) -> None:
        """An engine that lists its containers is up, whatever one of them does to its inspection."""
        stuck, other = started(timeline, "stuck", "other")
        timeline.fake.make_unhealthy("stuck")
        inspect = FakeEngine.inspect

        def hangs(engine: FakeEngine, container_id: str) -> object:
            if container_id in (stuck.engine_id, "stuck"):
                raise EngineUnreachable("no answer within 10 s")
            return inspect(engine, container_id)

        with mock.patch.object(FakeEngine, "inspect", hangs):
            check.check_some(timeline.host.pk, [stuck.pk, other.pk], by_event=True)

        assert Host.objects.get(pk=timeline.host.pk).state == HostState.UP
        assert HealthStatus.objects.get(pk=stuck.pk).message.startswith("could not look")
        assert HealthStatus.objects.get(pk=other.pk).status == "healthy"

    def test_a_row_that_cannot_be_judged_stops_no_other(self, timeline: Timeline) -> None:
        """A defect met at one container costs the others of its host nothing."""
        bad, good = started(timeline, "bad", "good")
        timeline.fake.make_unhealthy("bad")
        timeline.fake.make_unhealthy("good")
        detect = check.detect

        def breaks(status: object, seen: object, config: object, now: object) -> object:
            if seen.snapshot.name == "bad":  # type: ignore[attr-defined]
                raise ValueError("A string literal cannot contain NUL (0x00) characters.")
            return detect(status, seen, config, now)  # type: ignore[arg-type]

        with mock.patch.object(check, "detect", breaks):
            found = check.check_some(timeline.host.pk, [bad.pk, good.pk], by_event=True)

        assert [following.stage for following in found] == [Stage.DIAGNOSE]
        assert FailureRecord.objects.get(is_found=True).container_id == good.pk

    def test_an_event_that_cannot_be_taken_in_is_passed_over(self, timeline: Timeline) -> None:
        """One container that cannot be registered does not have its host's stream start over for ever."""
        started(timeline, "web")
        timeline.fake.add("odd", labels=LABELS)
        event = timeline.fake.happened[-1]
        for error in (EngineUnreachable("no answer"), ValueError("NUL")):
            with mock.patch("healing.registration.watching.adopt", side_effect=error):
                timeline._watcher._take(Host.objects.get(pk=timeline.host.pk), timeline.fake, event)

        assert timeline._watcher._cursor.at == event.at

    def test_connecting_survives_a_container_that_cannot_be_registered(self, timeline: Timeline) -> None:
        """The others are registered, and the stream is held."""
        from healing.registration import watching

        for name in ("odd", "web"):
            timeline.fake.add(name, labels=LABELS)
        adopt = watching.adopt

        def fails(host: Host, snapshot: object, why: str) -> Container:
            if snapshot.name == "odd":  # type: ignore[attr-defined]
                raise ValueError("A string literal cannot contain NUL (0x00) characters.")
            return adopt(host, snapshot, why)  # type: ignore[arg-type]

        with mock.patch("healing.registration.watching.adopt", fails):
            timeline.watch()

        assert [row.name for row in Container.objects.all()] == ["web"]

    def test_a_name_that_begins_another_containers_id_is_not_that_container(self, timeline: Timeline) -> None:
        """Engines take the beginning of an id for an id; a removed `db` is not a container whose id begins so."""
        other_id = timeline.fake.add("other", labels=LABELS, healthcheck=True)
        name = other_id[:12]
        timeline.fake.add(name, labels=LABELS, healthcheck=True)
        timeline.watch()
        timeline.run(30)
        gone = Container.objects.get(name=name)
        timeline.fake.remove(gone.engine_id)
        timeline.run(30)
        timeline.fake.make_unhealthy(other_id)
        timeline.run(60)

        gone.refresh_from_db()
        assert gone.engine_id != other_id
        assert HealthStatus.objects.get(pk=gone.pk).lifecycle == Lifecycle.GONE
        assert touched(timeline) == ["restart"]

    def test_a_check_that_met_a_newer_row_is_made_again_at_once(self, timeline: Timeline) -> None:
        """A verdict that is dropped because of a mark is not waited for until the shard's next turn."""
        (container,) = started(timeline, "web")
        timeline.fake.make_unhealthy("web")
        rows = statuses.of_containers([container.pk])
        engine = engines.engine_of(timeline.host)
        book = check.config_book()
        seen = check.look_at(engine, timeline.host, rows, book, by_event=True)
        statuses.mark(container.pk, unpaused_at=None)

        assert check._judge_all(timeline.host, rows, seen, book, timezone.now()) == []
        assert [number for _, number, _ in hosts.claim_due_shards(timezone.now())] == [0]

    def test_a_job_that_ended_while_the_engine_was_out_of_reach_is_not_run_again(
        self, timeline: Timeline
    ) -> None:
        """Exit 0 long after our sight was lost is a finished job, not one that its engine took down."""
        timeline.fake.add("job", labels=LABELS)
        timeline.watch()
        timeline.run(60)
        timeline.lose_the_engine()
        timeline.run(60)
        timeline.fake.unreachable(False)
        timeline.fake.exit("job", 0)
        timeline.fake.unreachable(True)
        timeline.run(30)
        timeline.find_the_engine(events_lost=True)
        timeline.run(300)

        assert touched(timeline) == []

    def test_what_no_database_stores_stops_nothing(self, timeline: Timeline) -> None:
        """NUL in a container's output or labels, which PostgreSQL refuses, is left out of what is kept."""
        labels = {**LABELS, "note": "a\0b", "com.docker.compose.project": "shop\0"}
        (container,) = started(timeline, "web", labels=labels)
        timeline.fake.set_logs("web", ["line\0one", "\ud800"])
        timeline.fake.make_unhealthy("web", "no\0answer")
        failure = failure_of(container)
        diagnosing.run(failure.pk)
        check.check_some(timeline.host.pk, [container.pk], by_event=True)

        failure.refresh_from_db()
        container.refresh_from_db()
        kept = [container.labels, failure.details, failure.error_message, container.health.message]
        assert container.labels["note"] == "ab" and "noanswer" in failure.error_message
        assert "\0" not in repr(kept) and "\\x00" not in repr(kept) and "\\ud800" not in repr(kept)

    def test_an_engine_whose_clock_is_ahead_does_not_hide_failures(self, timeline: Timeline) -> None:
        """A start that lies in our future is no start period."""
        from healing.core.config import Config
        from healing.core.detect import detect
        from healing.core.status import Seen, Status
        from healing.core.types import HealthLogEntry

        started(timeline, "web")
        timeline.fake.make_unhealthy("web")
        snapshot = timeline.fake.inspect("web")
        assert snapshot.started_at is not None
        early = snapshot.started_at - timedelta(hours=1)
        found = detect(Status(), Seen(snapshot), Config(), early)

        assert snapshot.health is EngineHealth.UNHEALTHY and isinstance(
            snapshot.health_log[-1], HealthLogEntry
        )
        assert found.change is not None and found.change.failure_type is FailureType.HEALTH_CHECK_FAILED


class TestPeople:
    def test_a_resumed_container_is_healed_soon(self, timeline: Timeline) -> None:
        """A heal that waits for the end of a pause does not wait for it when the pause is ended early."""
        (container,) = started(timeline, "web")
        failure = failure_of(container)
        commands.pause(container, timezone.now() + timedelta(days=7))
        timeline.fake.make_unhealthy("web")
        timeline.run(5)
        assert touched(timeline) == []
        commands.resume(container)
        timeline.run(30)

        failure.refresh_from_db()
        assert touched(timeline) == ["restart"] and failure.resolved_at is not None

    @pytest.mark.parametrize("how", ["unmonitored", "host disabled"])
    @pytest.mark.parametrize("stage", ["diagnose", "restart", "observe"])
    def test_what_is_no_longer_ours_is_not_touched(self, timeline: Timeline, how: str, stage: str) -> None:
        """Disabling a container or its host in the middle of a heal ends the heal."""
        (container,) = started(timeline, "web")
        if stage == "restart":
            failure = intended(timeline, container)
        else:
            timeline.fake.make_unhealthy("web")
            failure = failure_of(container, alert_level="error")
            FailureRecord.objects.filter(pk=failure.pk).update(stage=stage)
        if how == "unmonitored":
            container.monitored = False
            container.save()
        else:
            timeline.host.enabled = False
            timeline.host.save()
        timeline.run(60)

        failure.refresh_from_db()
        assert touched(timeline) == []
        assert failure.stage == Stage.CLOSED and not failure.in_success_rate and failure.reason

    def test_verification_on_a_disabled_host_ends(self, timeline: Timeline) -> None:
        """A host that is gone for good and disabled keeps no heal verifying for ever."""
        (container,) = started(timeline, "web")
        timeline.fake.after_starts("web", Outcome("starting"))
        failure = intended(timeline, container)
        restarting.run(failure.pk)
        timeline.lose_the_engine()
        timeline.host.enabled = False
        timeline.host.save()
        timeline.run(60)

        failure.refresh_from_db()
        assert failure.stage == Stage.CLOSED

    def test_a_forced_heal_is_not_called_off_by_a_check(self, timeline: Timeline) -> None:
        """A person who asks for the restart of a healthy container gets it, whoever looks in between."""
        (container,) = started(timeline, "web")
        failure_of(container, forced=True, in_success_rate=False)
        check.check_some(timeline.host.pk, [container.pk], by_event=False, with_probes=True)
        timeline.run(20)

        assert touched(timeline) == ["restart"]

    def test_a_released_container_that_was_killed_is_healed(self, timeline: Timeline) -> None:
        """After a release nobody takes the exit that led to the quarantine for a stop by hand."""
        (container,) = started(
            timeline, "web", labels={**LABELS, "selfheal.max_restarts": "1", "selfheal.restart_window": "5"}
        )
        timeline.fake.after_starts("web", Outcome("exit", 20.0, 137))
        timeline.fake.kill("web")
        timeline.run(120)
        assert HealthStatus.objects.get(pk=container.pk).lifecycle == Lifecycle.QUARANTINED
        calls = len(touched(timeline))
        timeline.fake.after_starts("web", Outcome())
        Host.objects.filter(pk=timeline.host.pk).update(stream_since=timezone.now())
        commands.release(Container.objects.get(pk=container.pk))
        timeline.run(60)

        assert len(touched(timeline)) == calls + 1
        assert HealthStatus.objects.get(pk=container.pk).status == "healthy"

    def test_an_exit_found_by_verification_waits_for_the_news_of_who_caused_it(
        self, timeline: Timeline
    ) -> None:
        """A stop by hand seen by verification before its event has come is not healed."""
        (container,) = started(timeline, "web", labels={**LABELS, "selfheal.backoff_initial": "0"})
        timeline.fake.after_starts("web", Outcome("starting"))
        failure = intended(timeline, container)
        restarting.run(failure.pk)
        timeline.run(0.5)
        timeline.fake.stop_by_hand("web")
        (following,) = verifying.run(failure.pk, early=True) or (None,)
        while following is not None and following.stage is Stage.DIAGNOSE:
            following = diagnosing.run(failure.pk)
        assert following is None
        timeline.run(30)

        assert touched(timeline) == ["restart"]
        assert HealthStatus.objects.get(pk=container.pk).lifecycle == Lifecycle.STOPPED_BY_HAND


class TestStaleDecisions:
    def test_a_container_that_recovered_before_the_call_is_left_alone(self, timeline: Timeline) -> None:
        """The engine was out of reach between decision and call; back again, the container is healthy."""
        (container,) = started(timeline, "web")
        failure = intended(timeline, container)
        timeline.fake.make_healthy("web")
        timeline.run(30)

        failure.refresh_from_db()
        assert touched(timeline) == []
        assert failure.resolved_at is not None

    def test_a_healthy_healthcheck_does_not_outrank_a_failing_probe(self, timeline: Timeline) -> None:
        """Where our own probe fails, the engine's `healthy` does not keep the container from its restart."""
        probe = {"selfheal.probe.ask": "exec:ask", "selfheal.failure_threshold": "1"}
        timeline.fake.add("web", labels={**LABELS, **probe, "selfheal.check_interval": "1"}, healthcheck=True)
        timeline.fake.answer_exec("web", ("ask",), ExecResult(1, "broken"))
        timeline.watch()
        timeline.run(10)

        assert "restart" in touched(timeline)

    def test_an_old_decision_is_made_anew(self, timeline: Timeline) -> None:
        """What was decided minutes ago, before the engine went away, is not carried out unseen."""
        (container,) = started(timeline, "web")
        failure = intended(timeline, container)
        Attempt.objects.filter(failure=failure).update(intent_at=timezone.now() - timedelta(hours=1))

        following = restarting.run(failure.pk)

        assert following is not None and following.stage is Stage.DIAGNOSE
        assert Attempt.objects.get(failure=failure).state == AttemptState.WITHDRAWN
        assert touched(timeline) == []

    def test_heals_on_a_lost_host_take_no_place_in_the_fleets_ceiling(self, timeline: Timeline) -> None:
        """A host that dies in a storm does not stop healing everywhere else."""
        (container,) = started(timeline, "web")
        intended(timeline, container)
        assert windows.locked(timeline.host.pk).fleet == 1
        Host.objects.filter(pk=timeline.host.pk).update(state=HostState.DOWN)

        assert windows.locked(timeline.host.pk).fleet == 0

    def test_a_heal_on_a_lost_host_does_not_ask_it(self, timeline: Timeline) -> None:
        """Workers that wait for a silent engine are missing elsewhere: the sweep asks whether it is back."""
        (container,) = started(timeline, "web")
        failure = intended(timeline, container)
        Host.objects.filter(pk=timeline.host.pk).update(state=HostState.DOWN)
        before = len(timeline.fake.calls)

        assert restarting.run(failure.pk) is None
        assert len(timeline.fake.calls) == before

    def test_a_verification_longer_than_its_lease_keeps_its_claim(self, timeline: Timeline) -> None:
        """A probe that may take minutes is given a lease to match, or no verification would ever end."""
        (container,) = started(timeline, "web", labels={**LABELS, "selfheal.check_timeout": "200"})
        timeline.fake.after_starts("web", Outcome("starting"))
        failure = intended(timeline, container)
        restarting.run(failure.pk)
        leases = []

        def look(*_: object) -> None:
            leases.append(FailureRecord.objects.get(pk=failure.pk).lease_until)

        with mock.patch.object(verifying, "_health_command", look):
            verifying.run(failure.pk, early=True)

        assert leases[0] > timezone.now() + timedelta(seconds=200)


class TestTelling:
    def test_nobody_is_told_of_a_recovery_that_its_worker_will_tell(self, timeline: Timeline) -> None:
        """A check that finds the failure in other hands says nothing: the holder does."""
        (container,) = started(timeline, "web")
        failure = failure_of(container, alert_level="error")
        stale = FailureRecord.objects.get(pk=failure.pk)
        assert heals.claim(failure.pk, Stage.DIAGNOSE, 60) is not None
        row = statuses.of_containers([container.pk])[0]
        engine = engines.engine_of(timeline.host)
        book = check.config_book()
        seen = check.look_at(engine, timeline.host, [row], book)
        with mock.patch.object(heals, "open_failures", return_value={container.pk: stale}):
            check._judge_all(timeline.host, [row], seen, book, timezone.now())

        assert titles() == []

    def test_the_end_of_a_failure_by_hand_is_told(self, timeline: Timeline) -> None:
        """Who was told of a failure is told that somebody has stopped the container."""
        (container,) = started(timeline, "web", labels={**LABELS, "selfheal.auto_restart": "false"})
        timeline.fake.make_unhealthy("web")
        timeline.run(15)
        timeline.fake.stop_by_hand("web")
        timeline.run(60)

        assert FailureRecord.objects.get(container=container, is_found=True).resolved_at is not None
        kinds = list(Notification.objects.order_by("created_at").values_list("kind", flat=True))
        assert kinds == ["firing", "resolved"]


class TestAsking:
    def test_heal_now_on_a_disabled_host_is_refused(self, timeline: Timeline) -> None:
        """What would be ended at once is said so at once."""
        (container,) = started(timeline, "web")
        timeline.host.enabled = False
        timeline.host.save()

        with pytest.raises(commands.Refused, match="is disabled; enable it first"):
            commands.heal_now(Container.objects.get(pk=container.pk))
        assert not FailureRecord.objects.exists()

    def test_heal_now_reaches_a_container_that_is_not_monitored(self, timeline: Timeline) -> None:
        """A person may have restarted and verified what nobody watches."""
        (container,) = started(timeline, "web")
        container.monitored = False
        container.save()
        failure = commands.heal_now(Container.objects.get(pk=container.pk))
        timeline.run(30)

        failure.refresh_from_db()
        assert touched(timeline) == ["restart"] and failure.action_result == "success"
