"""unfold's classes and decorators, with the types that it does not ship."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from django import forms
    from django.contrib import admin
    from django.contrib.admin.views.main import ChangeList

    Decorated = TypeVar("Decorated", bound=Callable[..., Any])

    ModelForm = forms.ModelForm[Any]
    ModelAdmin = admin.ModelAdmin[Any]
    TabularInline = admin.TabularInline[Any, Any]

    class BaseDialogForm(forms.Form):
        """A form in a dialog."""

    def action(
        *,
        description: str,
        permissions: Sequence[str],
        icon: str | None = None,
        dialog: Any = None,
        url_path: str | None = None,
    ) -> Callable[[Decorated], Decorated]:
        """A bulk action; with `dialog`, or listed among a page's own actions, a button."""

    def display(
        *,
        description: str,
        ordering: str | None = None,
        label: bool | Mapping[str, str] | None = None,
        boolean: bool | None = None,
    ) -> Callable[[Decorated], Decorated]:
        """A column or a read-only field; `label` colours its words."""
else:
    from django.forms import ModelForm
    from unfold.admin import ModelAdmin, TabularInline
    from unfold.decorators import action, display
    from unfold.forms import BaseDialogForm
    from unfold.views import ChangeList

__all__ = ["BaseDialogForm", "ChangeList", "ModelAdmin", "ModelForm", "TabularInline", "action", "display"]
