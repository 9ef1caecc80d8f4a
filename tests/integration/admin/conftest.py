"""Every test starts with an empty cache of configuration: its database is emptied behind the cache's back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from healing.effective import forget_book


@pytest.fixture(autouse=True)
def fresh_book() -> Iterator[None]:
    forget_book()
    yield
    forget_book()
