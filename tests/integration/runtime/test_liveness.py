"""The dead-man's switch: silence is seen, told once by whoever sees it, and over when it is over."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta
from types import SimpleNamespace

import pytest
from django.db import OperationalError, connection
from django.utils import timezone
from django_celery_beat.models import PeriodicTask
from pytest_django.fixtures import Settings

from healing import observer
from healing.core.liveness import GRACE, Watch
from healing.models import Heartbeat, Host, Trouble
from healing.observer import Observer, Silence
from healing.pipeline import heartbeat
from healing.retention import prune
from healing.store import clock, hosts, refusals, signs
from notifications.channels import fake
from notifications.models import Channel, Notification
from tests.integration.loop.timeline import BEGIN
from tests.integration.runtime.signing import QUEUES, World


def watching() -> Observer:
    """One that began long ago."""
    made = Observer()
    made._watch = Watch(BEGIN - timedelta(hours=1))
    return made


@pytest.mark.parametrize(
    ("silent", "key"),
    [
        ({"periodic", "beat", *(f"canary:{queue}" for queue in QUEUES)}, "self:beat"),
        ({"beat", *(f"canary:{queue}" for queue in QUEUES)}, "self:queue:default"),
        ({"beat"}, "self:tick"),
        ({"canary:checks"}, "self:queue:checks"),
        ({"watch:one"}, "self:watcher"),
        ({"sweep:here:1"}, "self:sweeper"),
    ],
    ids=["beat", "who carries out the tick", "tick", "queue", "watcher", "sweeper"],
)
def test_a_part_that_stops_is_told_once_within_thirty_seconds(
    world: World, silent: set[str], key: str
) -> None:
    """By two observers, directly and as critical; what follows from it is not told; its return is."""
    both = watching(), watching()
    world.run(6, *both)
    world.silent = silent
    world.run(18, *both)
    assert world.told() == []
    world.run(10, *both)
    assert world.told() == [(key, "firing")]
    assert [message.alert.level for message in fake.sent()] == ["critical"]
    world.run(12, *both)
    world.silent = set()
    world.run(6, *both)
    assert world.told() == [(key, "firing"), (key, "resolved")]
    assert not Trouble.objects.filter(resolved_at=None).exists()


def test_a_broker_that_is_away_is_one_alert(world: World) -> None:
    """Nothing comes through any queue then, and that is not told five times, nor while workers come back."""
    one = watching()
    world.run(6, one)
    world.broker_answers = False
    world.silent = {"beat", *(f"canary:{queue}" for queue in QUEUES)}
    world.run(60, one)
    world.broker_answers = True
    world.run(20, one)
    world.silent = set()
    world.run(10, one)
    assert world.told() == [("self:broker", "firing"), ("self:broker", "resolved")]


def test_an_observer_that_is_cut_off_from_the_broker_alone_pages_nobody(world: World) -> None:
    """One opened what the other ended, every three seconds. Together they know that it answers."""
    both = watching(), watching()
    both[1]._broker._error = lambda: "no route"
    world.run(90, *both)
    assert world.told() == []


def test_a_machine_that_slept_pages_nobody(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Steady clocks stand still meanwhile, so the signs are old and nothing seems to have kept them; who stays silent is told."""
    one = watching()
    world.run(6, one)
    monkeypatch.setattr(observer, "time", SimpleNamespace(monotonic=lambda: 1.0))
    world.traveller.shift(timedelta(hours=8))
    one.look()
    world.silent = {"sweep:here:1"}
    world.run(15, one)
    assert world.told() == []
    world.run(9, one)
    assert world.told() == [("self:sweeper", "firing")]


@pytest.mark.parametrize("every", [8, 19])
def test_a_database_that_is_slow_hides_nobody(world: World, every: float) -> None:
    """Each round takes so long that signs may have been kept from being left, and the next one as well, for ever."""
    one = watching()
    world.run(38, one, every=every)
    world.silent = {"periodic", "beat", *(f"canary:{queue}" for queue in QUEUES)}
    world.run(GRACE.total_seconds() + 30, one, every=every)
    assert world.told() == [("self:beat", "firing")]


def test_a_clock_that_is_set_back_blinds_nobody(world: World) -> None:
    """It was wrong when the observer began: nothing would count until that time comes again."""
    world.traveller.shift(timedelta(hours=8))
    one = Observer()
    world.run(6, one)
    world.traveller.shift(timedelta(hours=-8))
    world.run(60, one)
    world.silent = {"canary:checks"}
    world.run(30, one)
    assert world.told() == [("self:queue:checks", "firing")]


def test_a_tick_that_a_person_disabled_is_told(world: World) -> None:
    """That clears when it was sent last; nobody would be told of anything that comes after it."""
    one = watching()
    world.run(6, one)
    tick = PeriodicTask.objects.get(task=signs.TICK_TASK)
    tick.enabled = False
    tick.save()
    world.silent = {"periodic", "beat", *(f"canary:{queue}" for queue in QUEUES)}
    world.run(60, one)
    assert world.told() == [("self:beat", "firing")]


def test_a_start_after_a_long_stop_alarms_nobody(world: World) -> None:
    """Old signs, and parts that take their time to come up."""
    world.signs(timezone.now() - timedelta(days=1))
    world.silent = {"periodic", "beat", *(f"canary:{queue}" for queue in QUEUES)}
    one = Observer()
    world.run(GRACE.total_seconds() - 6, one)
    world.silent = set()
    world.run(20, one)
    assert world.told() == []


def test_a_clock_that_is_wrong_is_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the database's clock, of the process that has it; over when it has not said so for a while."""
    one = Observer()
    monkeypatch.setattr(clock, "_behind", timedelta(hours=-2))
    signs.show_skew(timezone.now())
    monkeypatch.setattr(clock, "_behind", timedelta(seconds=20))
    world.run(10, one)
    assert [message.alert.level for message in fake.sent()] == ["error"]
    assert "7200 s ahead" in fake.sent()[0].alert.title
    world.run(100, one)
    assert [kind for _, kind in world.told()] == ["firing", "resolved"]


def test_a_database_that_is_away_is_told_past_it(world: World) -> None:
    """Through the channels that were read before, with one id by all observers, and put on record when it is back."""
    both = Silence(), Silence()
    for each in both:
        each.answered(100.0)
    for at in (119.0, 121.0, 150.0):
        for each in both:
            each.look(at)
    assert len(fake.sent()) == 2
    assert len({message.id for message in fake.sent()}) == 1
    for each in both:
        assert each.was_broken(160.0, timezone.now())
        each.answered(160.0)
    assert world.told() == [("self:database", "firing"), ("self:database", "resolved")]
    assert [message.alert.kind for message in fake.sent()] == ["firing", "firing", "resolved"]
    assert not both[0].was_broken(163.0, timezone.now())


def test_a_pager_that_was_cut_off_with_the_database_is_told_when_it_is_back(world: World) -> None:
    """One fault takes both, and the database stays away for hours: with one try, for 3 s, nobody would ever hear of it."""
    Channel.objects.update(config={"fail": "temporary"})
    silence = Silence()
    silence.answered(100.0)
    for at in range(100, 150):
        silence.look(float(at))
    assert fake.sent() == []
    for channel in silence._channels:
        channel.config = {}
    for at in range(150, 400):
        silence.look(float(at))
    assert [message.alert.alert_key for message in fake.sent()] == ["self:database"]
    Channel.objects.update(config={})
    assert silence.was_broken(400.0, timezone.now())
    assert world.told() == [("self:database", "firing"), ("self:database", "resolved")]
    assert Notification.objects.get(kind="firing").state == "sent"


def test_what_nobody_was_told_is_not_on_record_as_sent(world: World) -> None:
    """Unless another observer's way out was open: then somebody has it."""
    Channel.objects.update(config={"fail": "temporary"})
    both = Silence(), Silence()
    for each in both:
        each.answered(100.0)
    for channel in both[1]._channels:
        channel.config = {}
    for each in both:
        each.look(121.0)
    states = []
    for each in both:
        assert each.was_broken(160.0, timezone.now())
        states.append(Notification.objects.get(kind="firing").state)
    assert states == ["failed", "sent"]
    assert Trouble.objects.filter(resolved_at__isnull=False).count() == 1


def test_a_database_without_room_is_told_while_it_answers(world: World) -> None:
    """Once by each observer and with one id, ended when it writes again; parts that could not sign are not missed."""
    both, says = (Silence(), Silence()), "could not extend file: No space left on device"
    for at in range(100, 170, 3):  # beyond the time after which what there is to tell is read anew
        for each in both:
            refusal = says if 106 <= at < 160 else ""
            assert each.was_broken(at, timezone.now(), refusal) is bool(refusal)
            each.answered(at)
            each.look(at, refusal)
    assert world.told() == [("self:database", "firing"), ("self:database", "resolved")]
    assert [message.alert.kind for message in fake.sent()] == ["firing", "firing", "resolved"]
    assert len({message.id for message in fake.sent()}) == 2
    assert says in fake.sent()[0].alert.body


class Stop(threading.Event):
    """Set after so many waits, none of which takes any time."""

    def __init__(self, waits: int) -> None:
        super().__init__()
        self._left = waits

    def wait(self, timeout: float | None = None) -> bool:
        self._left -= 1
        return self._left < 0


def test_an_observer_that_cannot_tell_goes_on_looking(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no room for the thread to tell in; its sweeper signs on, so that nobody would miss it."""
    one, looks = Observer(), []

    def look(at: float, _: str) -> None:
        looks.append(at)
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(Observer, "_read", lambda *_: None)
    monkeypatch.setattr(one._silence, "look", look)
    one.run(Stop(4))
    assert len(looks) == 2


def test_asking_for_room_leaves_nothing_behind(transactional_db: None) -> None:
    """It is asked every few seconds, with what memory it has set for one transaction only."""
    before = _work_memory()
    refusals.ask_for_room()
    assert _work_memory() == before


def _work_memory() -> str:
    if connection.vendor != "postgresql":
        return ""
    with connection.cursor() as cursor:
        cursor.execute("SHOW work_mem")
        return str(cursor.fetchone()[0])


def test_two_installations_do_not_share_an_alert(world: World, settings: Settings) -> None:
    """A receiver that drops what it has had would drop the other's alarm about its database."""
    ours = Silence()._id("")
    assert Silence()._id("") == ours
    settings.SECRET_KEY = "of another installation"
    assert Silence()._id("") != ours


@pytest.fixture
def met(world: World, monkeypatch: pytest.MonkeyPatch) -> refusals.Refusals:
    """What this process has been refused: nothing yet."""
    fresh = refusals.Refusals()
    monkeypatch.setattr(refusals, "note", fresh.note)
    monkeypatch.setattr(refusals, "lasting", fresh.lasting)
    monkeypatch.setattr(refusals, "time", observer.time)
    return fresh


def test_a_sweeper_that_is_dead_for_days_is_not_in_order_again(world: World) -> None:
    """The clean-up took its last sign, and with that it was no part any more."""
    Host.objects.create(name="near", engine_kind="fake", address="fake://near", queue="rack-7")
    world.signs(timezone.now())
    hosts.beat("sweep.rack-7:there:1", timezone.now() - timedelta(hours=25))
    world.silent = {"watch:near"}
    one = watching()
    world.run(6, one)
    assert ("self:sweeper:rack-7", "firing") in world.told()
    prune(timezone.now())
    world.run(6, one)
    assert Trouble.objects.filter(key="down:sweeper:rack-7", resolved_at=None).exists()
    assert "resolved" not in [kind for _, kind in world.told()]


def test_the_outer_heartbeat_is_not_sent_while_the_database_cannot_write(
    world: World, monkeypatch: pytest.MonkeyPatch, settings: Settings, met: refusals.Refusals
) -> None:
    """All parts sign then, in old room; nobody outside would hear of it. Who answers `/readyz` reads that, too."""
    settings.SELFHEAL_HEARTBEAT_URL = "http://127.0.0.1:1/secret"
    sent: list[datetime] = []
    monkeypatch.setattr(heartbeat, "_ping", lambda _: sent.append(timezone.now()))
    one = Observer(pings=True)
    world.run(6, one)
    assert len(sent) == 1
    assert refusals.said(timezone.now()) == ""
    assert Heartbeat.objects.filter(name=refusals.SIGN).exists(), "a row that is yet to come may find no room"
    for _ in range(30):
        refusals.note(OperationalError("could not extend file: No space left"), timezone.now().timestamp())
        world.run(3, one)
    assert len(sent) == 1
    assert "could not extend file" in refusals.said(timezone.now())
    world.run(60, one)
    assert len(sent) == 2
    assert refusals.said(timezone.now()) == ""


def test_the_outer_heartbeat_that_failed_is_soon_another_ones_to_send(
    world: World, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    """A sweeper without a way out would take each second turn; by itself it tries again a little later."""
    settings.SELFHEAL_HEARTBEAT_URL = "http://127.0.0.1:1/secret"
    begun: list[tuple[object, ...]] = []
    threads = SimpleNamespace(Thread=lambda args, **_: SimpleNamespace(start=lambda: begun.append(args)))
    monkeypatch.setattr(heartbeat, "threading", threads)
    monkeypatch.setattr(heartbeat, "_failed", [])
    monkeypatch.setattr(heartbeat, "_ping", lambda _: "ConnectError")
    heartbeat.ping_if_due(True, timezone.now())
    world.traveller.shift(timedelta(seconds=2))
    heartbeat._call(*begun.pop())
    slot = Heartbeat.objects.get(name=heartbeat.SLOT)
    minute = timedelta(seconds=settings.SELFHEAL_HEARTBEAT_EVERY)
    assert slot.at + minute == timezone.now() + timedelta(seconds=10)
    for seconds, calls in ((11, 0), (5, 1)):
        world.traveller.shift(timedelta(seconds=seconds))
        heartbeat.ping_if_due(True, timezone.now())
        assert len(begun) == calls
    monkeypatch.setattr(heartbeat, "_ping", lambda _: "")
    heartbeat._call(*begun.pop())
    assert Heartbeat.objects.get(name=heartbeat.SLOT).at == timezone.now()


def test_the_outer_heartbeat_is_sent_while_all_is_well(
    world: World, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    """Once a minute by two observers, and not while a part is silent."""
    settings.SELFHEAL_HEARTBEAT_URL = "http://127.0.0.1:1/secret"
    sent: list[datetime] = []
    monkeypatch.setattr(heartbeat, "_ping", lambda _: sent.append(timezone.now()))
    both = Observer(pings=True), Observer(pings=True)
    world.run(150, *both)
    assert len(sent) == 3
    world.silent = {"canary:alerts"}
    world.run(90, *both)
    assert len(sent) == 3
    world.silent = set()
    world.run(10, *both)
    assert len(sent) == 4
