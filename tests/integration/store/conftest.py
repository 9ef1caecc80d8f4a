"""Which tests of the store need sessions of a server, which SQLite does not have."""

from __future__ import annotations

import os

collect_ignore = (
    [] if os.environ.get("DATABASE_URL", "").startswith("postgres") else ["test_frozen_process.py"]
)
