"""What people may do with containers: check, heal, pause, resume, release, switch on and off."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse

from healing import commands, tasks
from healing.admin.base import EMPTY
from healing.admin.looks import BaseDialogForm, action
from healing.admin.scopes import ControlMixin
from healing.models import Container
from healing.signals import bump_revision

_MESSAGES_SHOWN = 5


def _dialog(title: str, description: str) -> Any:
    return {
        "title": title,
        "description": description,
        "form_class": BaseDialogForm,
        "form_submit_text": title,
    }


_CHECK = _dialog("Check now", "A worker looks at this container at once.")
_HEAL = _dialog(
    "Heal now",
    "The container is restarted now, whatever its back-off or quarantine say; never through a pause.",
)
_RELEASE = _dialog("Release", "Ends the quarantine: budget and back-off begin anew.")


class ContainerActions(ControlMixin):
    """Actions in the list and on the page."""

    actions = (
        "check_selected", "heal_selected", "pause_selected", "resume_selected", "release_selected",
        "enable_selected", "disable_selected", "dry_run_on_selected", "dry_run_off_selected",
        "maintain_selected",
    )  # fmt: skip
    actions_detail = ("check_this", "heal_this", "pause_this", "resume_this", "release_this")

    @action(description="Check now", permissions=["change"])
    def check_selected(self, request: HttpRequest, queryset: QuerySet[Container]) -> None:
        self._check(request, queryset)

    @action(description="Heal now", permissions=["change"])
    def heal_selected(self, request: HttpRequest, queryset: QuerySet[Container]) -> None:
        self._heal(request, queryset)

    @action(description="Release from quarantine", permissions=["change"])
    def release_selected(self, request: HttpRequest, queryset: QuerySet[Container]) -> None:
        self._release(request, queryset)

    @action(description="Enable (supervise)", permissions=["change"])
    def enable_selected(self, request: HttpRequest, queryset: QuerySet[Container]) -> None:
        self._switch(request, queryset, True)

    @action(description="Disable (leave alone)", permissions=["change"])
    def disable_selected(self, request: HttpRequest, queryset: QuerySet[Container]) -> None:
        self._switch(request, queryset, False)

    @action(description="Check now", permissions=["change"], icon="stethoscope", dialog=_CHECK)
    def check_this(self, request: HttpRequest, form: forms.Form, object_id: str) -> HttpResponse:
        self._check(request, self.chosen(request, object_id))
        return self.back(request, object_id)

    @action(description="Heal now", permissions=["change"], icon="healing", dialog=_HEAL)
    def heal_this(self, request: HttpRequest, form: forms.Form, object_id: str) -> HttpResponse:
        self._heal(request, self.chosen(request, object_id))
        return self.back(request, object_id)

    @action(description="Release", permissions=["change"], icon="lock_open", dialog=_RELEASE)
    def release_this(self, request: HttpRequest, form: forms.Form, object_id: str) -> HttpResponse:
        self._release(request, self.chosen(request, object_id))
        return self.back(request, object_id)

    def _check(self, request: HttpRequest, queryset: QuerySet[Container]) -> None:
        ids = list(queryset.values_list("pk", flat=True))
        if not ids:
            self.message_user(request, EMPTY, messages.ERROR)
            return
        tasks.check_now(ids)
        self.message_user(request, f"Asked for a check of {len(ids)} containers.", messages.SUCCESS)

    def _heal(self, request: HttpRequest, queryset: QuerySet[Container]) -> None:
        self._each(request, queryset, commands.heal_now, "Heal asked for by hand.", "Healing {}.")

    def _release(self, request: HttpRequest, queryset: QuerySet[Container]) -> None:
        self._each(request, queryset, commands.release, "Released from quarantine.", "Released {}.")

    def _each(
        self,
        request: HttpRequest,
        queryset: QuerySet[Container],
        act: Callable[[Container], object],
        noted: str,
        told: str,
    ) -> None:
        """Act on one after another; what is refused is told with its reason and stops nothing else."""
        done: list[Container] = []
        refused: list[str] = []
        for container in queryset.select_related("host", "service", "project", "health"):
            try:
                act(container)
            except commands.Refused as error:
                refused.append(str(error))
            else:
                done.append(container)
        if not done and not refused:
            self.message_user(request, EMPTY, messages.ERROR)
        if done:
            self.note(request, done, noted)
            self.message_user(request, told.format(_names(done)), messages.SUCCESS)
        for line in refused[:_MESSAGES_SHOWN]:
            self.message_user(request, line, messages.ERROR)
        if len(refused) > _MESSAGES_SHOWN:
            self.message_user(
                request, f"… and {len(refused) - _MESSAGES_SHOWN} more were refused.", messages.ERROR
            )

    def _switch(self, request: HttpRequest, queryset: QuerySet[Container], monitored: bool) -> None:
        rows = list(queryset.exclude(monitored=monitored))
        Container.objects.filter(pk__in=[row.pk for row in rows]).update(monitored=monitored)
        bump_revision()
        word = "Enabled" if monitored else "Disabled"
        self.note(request, rows, f"{word}.")
        if monitored:
            tasks.check_now([row.pk for row in rows])
        self.message_user(request, f"{word} {len(rows)} containers.", messages.SUCCESS)


def _names(containers: list[Container]) -> str:
    names = ", ".join(container.name for container in containers[:_MESSAGES_SHOWN])
    more = len(containers) - _MESSAGES_SHOWN
    return f"{names} and {more} more" if more > 0 else names
