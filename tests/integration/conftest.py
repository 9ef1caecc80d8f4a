"""What holds for all tests that run parts of Selfheal inside the tests' own process."""

from __future__ import annotations

import pytest

from healing.store import worker_signs


@pytest.fixture(autouse=True)
def _no_signs_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker's process signs in a thread that lives as long as itself: here it would sign in the worlds of later tests."""
    monkeypatch.setattr(worker_signs.Keeping, "_start", lambda self: None)
    monkeypatch.setattr(worker_signs, "_keeping", worker_signs.Keeping())
