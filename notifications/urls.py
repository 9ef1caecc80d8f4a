"""Included by the project at `links.PATH`."""

from __future__ import annotations

from django.urls import path

from notifications.views import link

app_name = "notifications"
urlpatterns = [path("", link, name="link")]
