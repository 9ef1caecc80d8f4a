"""The address of a Redis under Sentinels, as people write it."""

from __future__ import annotations

import pytest
from django.core.exceptions import ImproperlyConfigured
from redis.sentinel import Sentinel

from selfheal_project import env
from selfheal_project.up.broker import without_password

URL = "sentinel://:secret@a:26379;sentinel://:secret@b:26379/0"


def test_the_masters_name() -> None:
    """Said after the address, and not handed on with it; `mymaster` where it is not said; nothing for other brokers."""
    assert env.broker(f"{URL}?master_name=shop") == URL
    assert env.sentinel_options(f"{URL}?master_name=shop")["master_name"] == "shop"
    assert env.sentinel_options(URL)["master_name"] == "mymaster"
    assert env.sentinel_options("redis://a:6379/0") == {}


def test_a_sentinel_that_is_dead_is_passed_over() -> None:
    """It is asked once and for a second: Redis' own default would try it again and again, with pauses between."""
    asked = env.sentinel_options(URL)["sentinel_kwargs"]
    first = Sentinel([("127.0.0.1", 1)], sentinel_kwargs=asked).sentinels[0].get_connection_kwargs()
    assert first["retry"].get_retries() == 0
    assert first["socket_timeout"] == first["socket_connect_timeout"] == 1


@pytest.mark.parametrize("query", ["master=shop", "master_name=", "master_name=shop&x=1"])
def test_what_is_misspelt_is_refused(query: str) -> None:
    """An option that would be without effect stops the start."""
    with pytest.raises(ImproperlyConfigured, match="master_name"):
        env.sentinel_options(f"{URL}?{query}")


def test_no_password_is_shown() -> None:
    """Of none of several addresses."""
    assert without_password(URL) == "sentinel://:**@a:26379;sentinel://:**@b:26379/0"
