"""The settings of a channel as plain form fields, made of what its kind says of itself.

A secret that is stored is never shown again: an empty field keeps it, a box clears it where it is not required.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from django import forms
from unfold.widgets import (
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminPasswordWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from notifications.channels import build, fields_of
from notifications.channels.registry import class_of
from notifications.core.errors import ConfigError
from notifications.core.fields import Field
from notifications.models import Channel
from notifications.secrets import Undecryptable

Form = TypeVar("Form", bound="SettingsMixin")

SETTING, CLEAR = "setting_", "clear_"
WHOLE = "config"
"""The one setting of a plug-in that does not say what its fields are: all of them, as JSON."""
KEPT = "Set. Leave empty to keep it."
MOVED = "Enter it again, or clear it: where it goes to has changed, and what is stored is not sent elsewhere."
_LEADS = frozenset({"host", "port", "url", "urls", "command", "address", "server", "endpoint"})
"""Settings beside those of the kind `url` that say who gets the secrets."""
_STAYS = frozenset({"secret", "old_secret", "access_key_secret"})
"""Secrets that only sign and are never sent."""
_MANY_LINES = frozenset({("apprise", "url")})
_UNREADABLE = (
    "What was stored cannot be decrypted with the present SELFHEAL_SECRET_KEY: enter it anew, or give the former key "
    "in SELFHEAL_SECRET_KEY_FALLBACKS."
)


class JsonObjectField(forms.CharField):
    """A JSON object; empty is None."""

    def prepare_value(self, value: Any) -> Any:
        return json.dumps(value, indent=2, ensure_ascii=False) if isinstance(value, Mapping) else value

    def to_python(self, value: Any) -> Any:
        text = super().to_python(value)
        if not text:
            return None
        try:
            found = json.loads(text)
        except ValueError as error:
            raise forms.ValidationError(f"This is no JSON: {error}") from None
        if not isinstance(found, dict):
            raise forms.ValidationError('Write a JSON object, such as {"name": "value"}.')
        return found


class LinesField(forms.CharField):
    """A list of texts, one a line; empty is the empty list."""

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(map(str, value)) if isinstance(value, list | tuple) else value

    def to_python(self, value: Any) -> Any:
        return [line.strip() for line in str(value or "").splitlines() if line.strip()]


def described(kind: str) -> tuple[Field, ...]:
    """The settings of a kind; of one that does not say, all of them as one JSON object, which is a secret."""
    fields = _said(kind)
    if fields is not None:
        return fields
    help_text = 'All settings of this kind as a JSON object, such as {"url": "https://example.org/"}.'
    return (Field(WHOLE, "Settings", help_text, "json", secret=True),)


def _said(kind: str) -> tuple[Field, ...] | None:
    """None too for a kind that is not installed any more."""
    try:
        return fields_of(kind)
    except ConfigError:
        return None


class SettingsMixin(forms.BaseForm):
    """A form with the settings of a kind; a subclass with the fields comes from `settings_form`. When it is clean,
    `cleaned_data["config"]` holds the configuration.
    """

    kind: str = ""
    stored: Mapping[str, Any] = {}
    base_fields: dict[str, forms.Field]

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if not self.errors.keys() & {f"{SETTING}{field.name}" for field in described(self.kind)}:
            cleaned["config"] = config = self._config(cleaned)
            try:
                build(self.kind, config)
            except ConfigError as error:
                self._refuse(error)
            else:
                self._refuse_moved_secrets(cleaned, config)
        return cleaned

    def _refuse_moved_secrets(self, cleaned: Mapping[str, Any], config: Mapping[str, Any]) -> None:
        """Who may change a channel does not read its secrets by having them sent, or tested, to a server of theirs."""
        if not self.stored or not self.leads_elsewhere(config):
            return
        for field in described(self.kind):
            name = f"{SETTING}{field.name}"
            is_kept = field.name in config and cleaned.get(name) in (None, "", [], {})
            if field.secret and is_kept and not _leads(field) and field.name not in _STAYS:
                self.add_error(name, MOVED)

    def leads_elsewhere(self, config: Mapping[str, Any]) -> bool:
        """Whether this configuration sends to another place than the stored one; of a kind that does not say, any may."""
        if _said(self.kind) is None:
            return config != self.stored
        leading = [field.name for field in described(self.kind) if _leads(field)]
        return any((config.get(name) or None) != (self.stored.get(name) or None) for name in leading)

    def _config(self, cleaned: Mapping[str, Any]) -> dict[str, Any]:
        """What is stored, with what was written over it; settings that no form shows stay."""
        if _said(self.kind) is None:
            written = cleaned.get(f"{SETTING}{WHOLE}")
            return dict(self.stored) if written is None else dict(written)
        config = dict(self.stored)
        for field in described(self.kind):
            value = cleaned.get(f"{SETTING}{field.name}")
            if value not in (None, "", [], {}):
                config[field.name] = value
            elif not field.secret or cleaned.get(f"{CLEAR}{field.name}"):
                config.pop(field.name, None)
        return config

    def _refuse(self, error: ConfigError) -> None:
        """At the field, where the form has it: the channel may name a part of one, such as `url[1]`."""
        name = f"{SETTING}{error.field.split('[')[0].split('.')[0]}"
        if name not in self.fields:
            whole = f"{SETTING}{WHOLE}"
            self.add_error(whole if whole in self.fields else None, str(error))
            return
        reason = error.reason[:1].upper() + error.reason[1:]
        self.add_error(name, reason if reason.endswith(".") else f"{reason}.")


def _leads(field: Field) -> bool:
    return field.kind == "url" or field.name in _LEADS


def settings_form(kind: str, channel: Channel | None, base: type[Form]) -> type[Form]:
    """A form class with the fields of a kind, filled in with what the channel has."""
    readable = channel is not None and not isinstance(channel.config, Undecryptable)
    stored = dict(channel.config) if channel is not None and readable else {}
    made: dict[str, Any] = {"kind": kind, "stored": stored, "__module__": __name__}
    for field in described(kind):
        is_set = bool(stored) if field.name == WHOLE else field.name in stored
        made[f"{SETTING}{field.name}"] = _form_field(kind, field, stored.get(field.name), is_set)
        if field.secret and is_set and not field.required and field.name != WHOLE:
            made[f"{CLEAR}{field.name}"] = forms.BooleanField(
                required=False, label=f"Clear {field.label.lower()}", widget=UnfoldBooleanSwitchWidget
            )
    return type("SettingsOfKind", (base,), made)


def field_names(kind: str, form: type[SettingsMixin]) -> list[str]:
    """The fields in their order, for a fieldset; the box that clears a secret stands beside it."""
    names: list[str] = []
    for field in described(kind):
        names.append(f"{SETTING}{field.name}")
        if f"{CLEAR}{field.name}" in form.base_fields:
            names.append(f"{CLEAR}{field.name}")
    return names


def unreadable(channel: Channel | None) -> str:
    """Why nothing of what is stored can be used; empty where it can."""
    return _UNREADABLE if channel is not None and isinstance(channel.config, Undecryptable) else ""


def _form_field(kind: str, field: Field, value: Any, is_set: bool) -> forms.Field:
    common: dict[str, Any] = {
        "label": field.label,
        "help_text": field.help,
        "required": field.required and not (field.secret and is_set),
    }
    if field.secret:
        return _secret_field(kind, field, is_set, common)
    return _plain_field(kind, field, value, common)


def _secret_field(kind: str, field: Field, is_set: bool, common: dict[str, Any]) -> forms.Field:
    attrs = {"autocomplete": "new-password", "spellcheck": "false"}
    if is_set:
        attrs["placeholder"] = KEPT
    if field.kind == "json":
        return JsonObjectField(widget=UnfoldAdminTextareaWidget(attrs={**attrs, "rows": "4"}), **common)
    if field.kind == "lines":
        return LinesField(widget=UnfoldAdminTextareaWidget(attrs={**attrs, "rows": "4"}), **common)
    if (kind, field.name) in _MANY_LINES:
        return forms.CharField(widget=UnfoldAdminTextareaWidget(attrs={**attrs, "rows": "3"}), **common)
    return forms.CharField(widget=UnfoldAdminPasswordWidget(attrs=attrs), **common)


def _plain_field(kind: str, field: Field, value: Any, common: dict[str, Any]) -> forms.Field:
    common["initial"] = value
    if field.kind == "boolean":
        common |= {"initial": _default(kind, field.name) if value is None else value, "required": False}
        return forms.BooleanField(widget=UnfoldBooleanSwitchWidget, **common)
    if field.kind == "integer":
        return forms.IntegerField(widget=UnfoldAdminIntegerFieldWidget, **common)
    if field.kind == "choice":
        return forms.ChoiceField(choices=field.choices, widget=UnfoldAdminSelectWidget, **common)
    if field.kind == "lines":
        return LinesField(widget=UnfoldAdminTextareaWidget(attrs={"rows": "4"}), **common)
    if field.kind == "json":
        return JsonObjectField(widget=UnfoldAdminTextareaWidget(attrs={"rows": "4"}), **common)
    return forms.CharField(widget=UnfoldAdminTextInputWidget, **common)


def _default(kind: str, name: str) -> bool:
    """What the channel takes where nothing is said."""
    declared: Mapping[str, Any] = getattr(class_of(kind), "__dataclass_fields__", {})
    return bool(name in declared and declared[name].default is True)


def shown_settings(channel: Channel) -> Sequence[tuple[str, str]]:
    """Each setting for people who may only look: of a secret, whether there is one."""
    rows = []
    for field in described(channel.kind):
        value = channel.config if field.name == WHOLE else channel.config.get(field.name)
        if field.secret:
            rows.append((field.label, "set" if value not in (None, "", [], {}) else "not set"))
        else:
            rows.append(
                (field.label, "\n".join(map(str, value)) if isinstance(value, list) else str(value or ""))
            )
    return rows
