"""What the environment says of the database and the broker, and what is refused of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from selfheal_project import env

URL = "postgres://selfheal:pw@db:5432/selfheal"


def test_a_database_that_is_cut_off_without_a_reset_is_given_up() -> None:
    """All processes would hang until the kernel gives up, a quarter of an hour; what the URL says has precedence."""
    options = env.database(URL, Path())["OPTIONS"]
    silent_for = options["keepalives_idle"] + options["keepalives_interval"] * options["keepalives_count"]
    assert options["keepalives"] == 1
    assert silent_for <= 30
    assert options["tcp_user_timeout"] == 20_000
    own = env.database(f"{URL}?tcp_user_timeout=5000&sslmode=require", Path())["OPTIONS"]
    assert (own["tcp_user_timeout"], own["sslmode"], own["keepalives"]) == ("5000", "require", 1)


def test_the_server_gives_up_a_process_that_is_cut_off_or_frozen() -> None:
    """What it has locked would be locked for hours, and all decisions with it; what the URL says comes last, and counts."""
    options = env.database(URL, Path())["OPTIONS"]["options"]
    assert "-c idle_in_transaction_session_timeout=20s -c lock_timeout=30s" in options
    assert "-c tcp_keepalives_idle=10" in options
    assert "-c tcp_user_timeout=20s" in options
    own = env.database(f"{URL}?options=-c%20lock_timeout%3D5s", Path())["OPTIONS"]["options"]
    assert own == f"{options} -c lock_timeout=5s"


@pytest.mark.parametrize(
    "url",
    [
        "redis://:s3cret/x@host:6379/0",
        "amqp://user@host:s3cret//",
        "redis://host:0/0",
        "sentinel://a:26379;sentinel://b:s3cret/0",
        "redis://[s3cret/0",
    ],
)
def test_a_broker_with_a_wrong_port_is_refused_without_repeating_it(url: str) -> None:
    """What looks like a port may be a part of the password, and the error goes to logs and pages."""
    with pytest.raises(ImproperlyConfigured, match="port that is not a number") as refused:
        env.broker(url)
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        "redis://:p%2Fw@host:6379/0",
        "amqp://user:pw@host:5672//",
        "unix:///run/redis.sock",
        "sentinel://a:26379;sentinel://b:26379/0",
    ],
)
def test_other_addresses_are_taken(url: str) -> None:
    """As they are."""
    assert env.broker(url) == url


def test_a_time_zone_has_a_name() -> None:
    """UTC where nothing is said; what no zone has the name of stops the start."""
    assert env.time_zone("X", environ={}).key == "UTC"
    assert env.time_zone("X", environ={"X": "Europe/Berlin"}).key == "Europe/Berlin"
    for wrong in ("Mars/Olympus", "../etc/passwd", "Europe"):
        with pytest.raises(ImproperlyConfigured, match="no time zone; write a name such as UTC"):
            env.time_zone("X", environ={"X": wrong})
