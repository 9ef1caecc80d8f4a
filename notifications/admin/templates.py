"""Message templates: written here, previewed before they are saved, with the variables and filters that they may use."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST
from unfold.widgets import BUTTON_CLASSES, UnfoldAdminTextareaWidget

from notifications.admin.base import AlertingAdmin
from notifications.admin.html import preformatted, table
from notifications.admin.looks import ModelForm, display
from notifications.core.errors import ConfigError
from notifications.messages import KINDS, LANGUAGES, preview, sample_message
from notifications.messages.library import register
from notifications.messages.texts import built_in
from notifications.messages.view import view
from notifications.models import MessageTemplate

_ROWS = {"title": "2", "body": "14", "html": "14"}
_LONGEST_VALUE = 60
_PREVIEW_BUTTON = (
    '<button type="button" hx-post="{}" hx-target="#nt-preview" hx-disabled-elt="this" hx-indicator="#nt-preview" '
    'class="{} sh-test">Preview</button><div id="nt-preview" aria-live="polite"></div>'
)
_HTML_FRAME = '<iframe class="nt-preview" sandbox="" title="HTML" srcdoc="{}"></iframe>'


def _source_field(kind: str, help_text: str = "") -> forms.CharField:
    attrs = {"rows": _ROWS[kind], "spellcheck": "false", "class": "font-mono"}
    return forms.CharField(
        required=False, strip=False, help_text=help_text, widget=UnfoldAdminTextareaWidget(attrs=attrs)
    )


class MessageTemplateForm(ModelForm):
    """The sources; an empty one stays built in."""

    title = _source_field("title", "One line. Empty: the built-in one.")
    body = _source_field("body", "Plain text. Empty: the built-in one.")
    html = _source_field("html", "For e-mail. Empty: the built-in one.")

    class Meta:
        model = MessageTemplate
        exclude = ()


@admin.register(MessageTemplate)
class MessageTemplateAdmin(AlertingAdmin):
    """What a channel's messages say instead of the built-in words."""

    form = MessageTemplateForm
    list_display = ("name", "language", "replaces_shown")
    list_filter = ("language",)
    search_fields = ("name", "title", "body")
    readonly_fields = ("preview_page", "variables_page", "filters_page", "built_in_page")
    fieldsets = (
        (None, {"fields": (("name", "language"), "title", "body", "html", "preview_page")}),
        (
            "Variables and what they hold in the preview",
            {"classes": ("collapse",), "fields": ("variables_page",)},
        ),
        ("Filters and tags", {"classes": ("collapse",), "fields": ("filters_page",)}),
        ("The built-in templates, to begin with", {"classes": ("collapse",), "fields": ("built_in_page",)}),
    )

    def get_urls(self) -> list[URLPattern]:
        shown = self.admin_site.admin_view(require_POST(self.preview))
        urls: list[URLPattern] = super().get_urls()
        return [path("preview/", shown, name="notifications_messagetemplate_preview"), *urls]

    def preview(self, request: HttpRequest) -> HttpResponse:
        """What stands in the form, made into a message; nothing is saved."""
        if not (self.has_add_permission(request) or self.has_change_permission(request)):
            raise PermissionDenied
        language = request.POST.get("language", "")
        language = language if language in LANGUAGES else LANGUAGES[0]
        parts = [(kind, _previewed(kind, request.POST.get(kind, ""), language)) for kind in KINDS]
        return HttpResponse(
            format_html_join("", '<div class="sh-part"><div class="sh-name">{}</div>{}</div>', parts)
        )

    @display(description="replaces")
    def replaces_shown(self, template: MessageTemplate) -> str:
        return ", ".join(template.overrides()) or "nothing"

    @display(description="preview")
    def preview_page(self, template: MessageTemplate) -> SafeString:
        url = reverse("admin:notifications_messagetemplate_preview")
        return format_html(_PREVIEW_BUTTON, url, " ".join(BUTTON_CLASSES))

    @display(description="variables")
    def variables_page(self, template: MessageTemplate) -> SafeString:
        message = sample_message(template.language)
        held = view(message, template.language, "https://selfheal.example.org", message.created_at)
        rows = [(f"{{{{ {name} }}}}", value) for name, value in _flat("", held)]
        return table(("variable", "holds"), rows)

    @display(description="filters")
    def filters_page(self, template: MessageTemplate) -> SafeString:
        rows = [
            (f"|{name}", " ".join((made.__doc__ or "").split()))
            for name, made in sorted(register.filters.items())
        ]
        tags = [(f"{{% {name} %}}", "") for name in sorted(register.tags)]
        return table(("", ""), [*rows, *tags])

    @display(description="sources")
    def built_in_page(self, template: MessageTemplate) -> SafeString:
        rows = [(kind, preformatted(built_in(template.language, kind))) for kind in KINDS]
        return table(("", ""), rows)


def _previewed(kind: str, source: str, language: str) -> SafeString:
    try:
        text = preview(source if source.strip() else built_in(language, kind), kind, language)
    except ConfigError as error:
        return format_html('<p class="sh-answer sh-bad">{}</p>', error.reason)
    return format_html(_HTML_FRAME, text) if kind == "html" else preformatted(text)


def _flat(prefix: str, held: dict[str, Any]) -> list[tuple[str, str]]:
    """Each variable with a value, short; of a list the entries of its first one."""
    rows: list[tuple[str, str]] = []
    for name, value in held.items():
        if isinstance(value, dict):
            rows += _flat(f"{prefix}{name}.", value)
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            rows.append((f"{prefix}{name}", f"a list of {len(value)}; each of it holds:"))
            rows += [(f"… {inner}", text) for inner, text in _flat("", value[0])]
        else:
            text = str(value)
            rows.append(
                (f"{prefix}{name}", text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 1] + "…")
            )
    return rows
