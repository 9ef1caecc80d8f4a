"""How the admin looks: its name and its sidebar."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.templatetags.static import static

# title, then (app.model, title, icon) in the order of use.
_SIDEBAR: tuple[tuple[str, tuple[tuple[str, str, str], ...]], ...] = (
    (
        "Fleet",
        (
            ("healing.container", "Containers", "deployed_code"),
            ("healing.service", "Services", "widgets"),
            ("healing.project", "Projects", "folder"),
            ("healing.host", "Hosts", "dns"),
            ("healing.tenant", "Tenants", "apartment"),
        ),
    ),
    (
        "What happened",
        (
            ("healing.failurerecord", "Failures", "emergency"),
            ("healing.attempt", "Attempts", "replay"),
            ("healing.healthstatus", "Health", "monitor_heart"),
        ),
    ),
    (
        "Alerts",
        (
            ("notifications.activealert", "Active alerts", "notifications_active"),
            ("notifications.silence", "Silences", "notifications_off"),
            ("notifications.notification", "Notifications", "notifications"),
            ("notifications.alertgroup", "Groups", "stacks"),
            ("notifications.groupmessage", "Messages", "mail"),
            ("notifications.delivery", "Deliveries", "outgoing_mail"),
        ),
    ),
    (
        "Alerting",
        (
            ("notifications.channel", "Channels", "campaign"),
            ("notifications.receiver", "Receivers", "group"),
            ("notifications.route", "Routes", "alt_route"),
            ("notifications.inhibitrule", "Inhibit rules", "block"),
            ("notifications.timeinterval", "Time intervals", "date_range"),
            ("notifications.messagetemplate", "Message templates", "edit_note"),
        ),
    ),
    (
        "Rules",
        (
            ("healing.healingconfig", "Healing configs", "tune"),
            ("healing.probe", "Probes", "stethoscope"),
            ("healing.configceiling", "Ceilings", "vertical_align_top"),
            ("healing.dependency", "Dependencies", "account_tree"),
            ("healing.maintenancewindow", "Maintenance windows", "engineering"),
        ),
    ),
    (
        "Selfheal",
        (
            ("healing.systemstate", "Pause everything", "pause_circle"),
            ("healing.heartbeat", "Heartbeats", "ecg_heart"),
            ("healing.trouble", "Troubles", "report"),
            ("healing.deadletter", "Dead letters", "unsubscribe"),
            ("healing.overload", "Overload", "compress"),
            ("healing.putoff", "Checks put off", "low_priority"),
            ("healing.checkshard", "Check shards", "grid_view"),
            ("django_celery_beat.periodictask", "Schedule", "schedule"),
            ("auth.user", "Users", "person"),
            ("auth.group", "Groups", "group"),
        ),
    ),
)


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    """The sidebar: every page that is registered and that this user may see."""
    from django.contrib import admin
    from django.urls import reverse

    known = {model._meta.label_lower: page for model, page in admin.site._registry.items()}
    groups = []
    for title, entries in _SIDEBAR:
        items = [
            {"title": name, "icon": icon, "link": reverse(f"admin:{label.replace('.', '_')}_changelist")}
            for label, name, icon in entries
            if label in known and known[label].has_view_permission(request)
        ]
        if items:
            groups.append({"title": title, "separator": True, "collapsible": False, "items": items})
    return groups


UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "Selfheal",
    "SITE_HEADER": "Selfheal",
    "SITE_SUBHEADER": "containers that mend themselves",
    "SITE_SYMBOL": "healing",
    "SHOW_VIEW_ON_SITE": False,
    "DASHBOARD_CALLBACK": "healing.admin.front_page.fill",
    "STYLES": [
        lambda _request: static("selfheal/admin.css"),
        lambda _request: static("notifications/alerting.css"),
    ],
    "SIDEBAR": {"show_search": True, "show_all_applications": False, "navigation": navigation},
    "COLORS": {
        "primary": {
            "50": "oklch(98% .014 180)",
            "100": "oklch(95% .05 181)",
            "200": "oklch(91% .09 181)",
            "300": "oklch(85% .13 182)",
            "400": "oklch(78% .14 182)",
            "500": "oklch(70% .13 183)",
            "600": "oklch(60% .11 185)",
            "700": "oklch(51% .09 186)",
            "800": "oklch(44% .08 188)",
            "900": "oklch(39% .07 189)",
            "950": "oklch(28% .05 193)",
        }
    },
}
