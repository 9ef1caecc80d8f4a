"""What is known of a container's config is never older than the book that knows it."""

from __future__ import annotations

import pytest

from healing.effective import config_book, forget_book
from healing.models import Container
from tests.integration.asking.rows import make_container

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _own_book() -> None:
    forget_book()


def test_a_row_that_was_read_before_the_book_is_not_remembered() -> None:
    """A heal reads its container, the labels change, and the heal asks the newest book: the old labels would stay in it."""
    made = make_container()
    config_book()
    old = Container.objects.get(pk=made.pk)
    new = Container.objects.get(pk=made.pk)
    new.labels = {"selfheal.auto_restart": "false", "selfheal.probe.web": "tcp://:80"}
    new.save()
    book = config_book()
    assert book.config(old).auto_restart
    assert book.probes(old) == ()
    fresh = Container.objects.get(pk=made.pk)
    assert not book.config(fresh).auto_restart
    assert [spec.name for spec in book.probes(fresh)] == ["web"]
    assert not book.known_config(made.pk).auto_restart
