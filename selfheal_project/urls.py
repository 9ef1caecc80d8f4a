"""URLs: the admin, links out of messages, whether we are alive, and whether all is well."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import include, path
from django.views.generic import RedirectView

from healing.api.readiness import as_dict, readiness


def healthz(_: HttpRequest) -> HttpResponse:
    """200 while this web process answers at all; it asks nobody."""
    return HttpResponse("ok\n", content_type="text/plain")


def readyz(_: HttpRequest) -> HttpResponse:
    """200 where every part of Selfheal is alive, else 503; either way, after two seconds at most, which ones are."""
    found = as_dict(readiness())
    return JsonResponse(found, status=200 if found["ok"] else 503, json_dumps_params={"indent": 1})


urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("healthz", healthz),
    path("readyz", readyz),
    path("admin/", admin.site.urls),
    path("alerts/", include("notifications.urls")),
]
