"""What holds of all tasks."""

from __future__ import annotations

from selfheal_project.celery import app


def test_no_task_has_a_time_limit() -> None:
    """Workers do their tasks in threads, for which Celery has none: one that is written down would be believed."""
    app.loader.import_default_modules()
    ours = [task for name, task in app.tasks.items() if name.startswith(("healing.", "notifications."))]
    assert len(ours) > 10
    assert [task.name for task in ours if task.time_limit or task.soft_time_limit] == []
