"""Wiring only: settings, Celery, URLs, and the ways to run."""

from selfheal_project.celery import app as celery_app

__all__ = ["celery_app"]
