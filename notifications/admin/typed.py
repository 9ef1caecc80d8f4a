"""The button that tests what is typed into a channel's form, before it is saved."""

from __future__ import annotations

from typing import Any

from django import forms
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from unfold.widgets import BUTTON_CLASSES

from notifications.admin.settings_form import SettingsMixin
from notifications.admin.testing import send_test
from notifications.models import Channel, Language, MessageTemplate
from notifications.models.choices import choices

_BUTTON = (
    '<button type="button" hx-post="{}" hx-target="#sh-connection" hx-disabled-elt="this" '
    'hx-indicator="#sh-connection" class="{} sh-test">Test with these values</button>'
    '<div id="sh-connection" aria-live="polite"></div>'
)
"""htmx sends the whole form along with the button, so that what is typed is tested before it is saved."""


class TypedForm(SettingsMixin, forms.Form):
    """What a test needs of a channel that is not saved."""

    language = forms.ChoiceField(choices=choices(Language), required=False)
    template = forms.ModelChoiceField(MessageTemplate.objects.all(), required=False)
    allow_private = forms.BooleanField(required=False)


def button(**query: Any) -> SafeString:
    url = f"{reverse('admin:notifications_channel_test')}?{urlencode(query)}"
    return format_html(_BUTTON, url, " ".join(BUTTON_CLASSES))


def answer_to(form: TypedForm, allow_private: bool | None) -> SafeString:
    """The answer as HTML, also where a field is wrong. `allow_private`: what holds for where the channel goes now, None
    for what is typed.
    """
    if not form.is_valid():
        rows = [
            (form.fields[name].label or name if name in form.fields else "", " ".join(map(str, texts)))
            for name, texts in form.errors.items()
        ]
        return format_html_join("", '<p class="sh-answer sh-bad">{}: {}</p>', rows)
    values = form.cleaned_data
    draft = Channel(
        name="test",
        kind=form.kind,
        config=values["config"],
        language=values["language"] or Language.ENGLISH.value,
        template=values["template"],
        allow_private=_may_call_private(form, allow_private),
    )
    answer = send_test(draft, timezone.now())
    colour = "sh-good" if answer.is_sent else "sh-bad"
    word = "Sent. The answer was: " if answer.is_sent else "Not sent: "
    return format_html('<p class="sh-answer {}">{}{}</p>', colour, word, answer.text)


def _may_call_private(form: TypedForm, allow_private: bool | None) -> bool:
    values = form.cleaned_data
    if allow_private is None:
        return bool(values["allow_private"])
    return allow_private and not form.leads_elsewhere(values["config"])
