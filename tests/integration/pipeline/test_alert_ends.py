"""What people were told of has its end, whatever has closed it: nothing fires, and mutes others, for ever."""

from __future__ import annotations

from datetime import timedelta

import pytest

from healing import commands
from healing.effective import forget_book
from healing.engines.fake import Outcome
from healing.models import Container, FailureRecord, HealingConfig, HealthStatus, MaintenanceWindow
from healing.pipeline import poison
from healing.store.suspects import DEADLY
from notifications import intake
from notifications.models import ActiveAlert
from tests.integration.loop.timeline import Timeline
from tests.integration.pipeline.test_alert_details import never_well, started, story, told

pytestmark = pytest.mark.django_db


def maintain(timeline: Timeline) -> None:
    """Begin two hours of maintenance of everything."""
    begin, end = timeline.now, timeline.now + timedelta(hours=2)
    MaintenanceWindow.objects.create(name="night", everything=True, starts_at=begin, ends_at=end)


def switch_alerts_off(name: str) -> None:
    quiet = HealingConfig.objects.create(name="quiet", send_alert=False)
    container = Container.objects.get(name=name)
    container.config = quiet
    container.save()


def test_what_fires_ends_although_its_alerts_were_switched_off(timeline: Timeline) -> None:
    """A begin that people were told of has its end; what begins from then on is told to nobody."""
    started(timeline, "web", auto_restart="false")
    timeline.fake.make_unhealthy("web")
    timeline.run(30)
    switch_alerts_off("web")
    for change in (timeline.fake.make_healthy, timeline.fake.make_unhealthy, timeline.fake.make_healthy):
        change("web")
        timeline.run(60)
    assert story("web") == [
        ("container_failed", "error", "firing", "gave_up"),
        ("container_failed", "info", "resolved", "recovered"),
    ]


def test_a_quarantine_ends_although_its_alerts_were_switched_off(timeline: Timeline) -> None:
    """Its release is told like its begin."""
    started(timeline, "web", max_restarts=1, quarantine_release=0)
    never_well(timeline, "web")
    timeline.run_until_quiet(600)
    switch_alerts_off("web")
    commands.release(Container.objects.get(name="web"))
    assert story("web")[-1] == ("quarantined", "info", "resolved", "")


def in_a_trial_that_waits(timeline: Timeline) -> None:
    """Web is quarantined, and maintenance holds its trial."""
    started(timeline, "web", healthcheck=False, max_restarts=2, backoff_initial=5, quarantine_release=120)
    never_well(timeline, "web")
    timeline.run(60)
    maintain(timeline)
    timeline.run(400)
    assert FailureRecord.objects.get(resolved_at=None).is_trial
    assert story("web")[-1][:3] == ("quarantined", "critical", "firing")


@pytest.mark.parametrize(("how", "outcome"), [("recovers", "recovered"), ("removed", "gone")])
def test_a_quarantine_ends_with_a_trial_that_a_check_closes(
    timeline: Timeline, how: str, outcome: str
) -> None:
    """Nothing else would end it: the trial is silent, and what fails next is less grave than a quarantine."""
    in_a_trial_that_waits(timeline)
    if how == "recovers":
        timeline.fake.after_starts("web", Outcome())
        timeline.fake.start_by_hand("web")
    else:
        timeline.fake.remove("web")
    timeline.run(120)
    assert not FailureRecord.objects.filter(resolved_at=None).exists()
    assert story("web")[-1] == ("quarantined", "info", "resolved", outcome)
    assert told("web")[-1].body.startswith("It was in quarantine from ")
    assert len([row for row in told("web") if row.kind == "resolved"]) == 1


def test_a_trial_that_is_released_is_a_failure_like_others(timeline: Timeline) -> None:
    """Its quarantine has been told to be over: where it does not help, a new one is told."""
    in_a_trial_that_waits(timeline)
    commands.release(Container.objects.get(name="web"))
    assert not FailureRecord.objects.filter(is_trial=True).exists()
    MaintenanceWindow.objects.all().delete()
    forget_book()
    for _ in range(90):
        if HealthStatus.objects.get().lifecycle == "quarantined":
            break
        timeline.run(10)
    kinds = [row.kind for row in told("web") if row.alertname == "quarantined"]
    assert kinds == ["firing", "resolved", "firing"]


def test_a_heal_by_hand_ends_the_quarantine_that_it_lifts(timeline: Timeline) -> None:
    """In maintenance nothing else is told of it, and nothing else would end it."""
    started(timeline, "web", max_restarts=1, quarantine_release=0)
    never_well(timeline, "web")
    timeline.run_until_quiet(600)
    maintain(timeline)
    timeline.fake.after_starts("web", Outcome("healthy", 1.0))
    commands.heal_now(Container.objects.get(name="web"))
    timeline.run(60)
    assert HealthStatus.objects.get().lifecycle == "running"
    assert story("web")[-1] == ("quarantined", "info", "resolved", "")
    intake.take_in(timeline.now)
    assert not ActiveAlert.objects.filter(ends_at=None).exists()


def test_a_trial_that_was_set_aside_ends_as_it_was_told(timeline: Timeline) -> None:
    """Also where the quarantine before it was told to nobody."""
    in_a_trial_that_waits(timeline)
    FailureRecord.objects.filter(is_trial=False).update(alert_level="")
    trials = FailureRecord.objects.filter(is_trial=True, resolved_at=None)
    trials.update(lost_claims=DEADLY, lease_until=None)
    assert poison.set_aside(trials.select_related("container__host", "container__health").get())
    commands.release(Container.objects.get(name="web"))
    assert [each[2] for each in story("web")[-2:]] == ["firing", "resolved"]


def replaced_in_quarantine(timeline: Timeline, **settings: object) -> None:
    """Web is quarantined, and a person makes it anew; no watcher is there to see that the old one is gone."""
    started(timeline, "web", max_restarts=1, quarantine_release=0, **settings)
    never_well(timeline, "web")
    timeline.run_until_quiet(600)
    assert story("web")[-1][:3] == ("quarantined", "critical", "firing")
    timeline.look_away()
    timeline.fake.after_starts("web", Outcome("healthy", 1.0))
    timeline.fake.recreate_by_hand("web", "app:2")


def ends_of_quarantine(name: str) -> list[tuple[str, str, str, str]]:
    """What was told to be over since it was quarantined."""
    all_told = story(name)
    quarantined = all_told.index(("quarantined", "critical", "firing", "gave_up"))
    return [each for each in all_told[quarantined:] if each[2] == "resolved"]


def test_a_quarantine_ends_with_the_container_that_replaces_it(timeline: Timeline) -> None:
    """The row is that of the new one at once, which is in no quarantine: told when it is well, and once."""
    replaced_in_quarantine(timeline)
    timeline.run(60)
    assert story("web")[-1] == ("quarantined", "info", "resolved", "recovered")
    timeline.fake.remove("web")
    timeline.run(60)
    assert len(ends_of_quarantine("web")) == 1


@pytest.mark.parametrize("exit_code", [0, 143])
def test_a_quarantine_ends_where_what_replaces_it_is_at_rest(timeline: Timeline, exit_code: int) -> None:
    """It has done its work, or was stopped: it is never seen to be well, and can no longer be released."""
    replaced_in_quarantine(timeline)
    if exit_code:
        timeline.watch()
        timeline.fake.stop_by_hand("web")
    else:
        timeline.fake.exit("web", 0)
    timeline.run(60)
    assert HealthStatus.objects.get().lifecycle == ("stopped_by_hand" if exit_code else "finished")
    assert ends_of_quarantine("web") == [("quarantined", "info", "resolved", "")]


@pytest.mark.parametrize("is_told", [False, True])
@pytest.mark.parametrize("is_healed", [False, True])
def test_what_replaces_it_fails_too(timeline: Timeline, is_told: bool, is_healed: bool) -> None:
    """The end of its failure is that of the quarantine: of one that nobody was told of as well, and there is one."""
    replaced_in_quarantine(timeline)
    Container.objects.update(config=HealingConfig.objects.create(name="by hand", auto_restart=False))
    HealingConfig.objects.get(name="by hand").save()
    if not is_told:
        maintain(timeline)
    timeline.fake.exit("web", 1)
    timeline.run(30)
    assert FailureRecord.objects.filter(resolved_at=None).count() == 1
    if is_healed:
        commands.heal_now(Container.objects.get(name="web"))
    else:
        timeline.fake.start_by_hand("web")
    timeline.run(120)
    assert not FailureRecord.objects.filter(resolved_at=None).exists()
    assert HealthStatus.objects.get().quarantined_at is None
    (end,) = ends_of_quarantine("web")
    assert end[0] == ("container_failed" if is_told else "quarantined")


def test_a_quarantine_that_ended_with_its_container_ends_once(timeline: Timeline) -> None:
    """What comes under its name later was in none."""
    started(timeline, "web", max_restarts=1, quarantine_release=0)
    never_well(timeline, "web")
    timeline.run_until_quiet(600)
    labels = timeline.fake.inspect("web").labels
    timeline.fake.remove("web")
    timeline.run(30)
    assert HealthStatus.objects.get().quarantined_at is None
    timeline.fake.add("web", labels=labels, healthcheck=True)
    timeline.run(60)
    assert HealthStatus.objects.get().lifecycle == "running"
    assert ends_of_quarantine("web") == [("quarantined", "info", "resolved", "gone")]
