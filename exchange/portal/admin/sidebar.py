"""The way around the desks: which belong together, under which heading."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _

# Heading, then model and icon. What stands in none of these comes under the last heading.
GROUPS: tuple[tuple[Any, dict[str, str]], ...] = (
    (_("Registration"), {
        "catalog.resource": "database", "catalog.registration": "app_registration", "catalog.objection": "gavel",
        "catalog.dataitem": "fact_check", "catalog.claim": "rule", "parties.day": "calendar_month",
    }),
    (_("Authorized operation"), {
        "catalog.plan": "description", "catalog.authorization": "verified", "catalog.sublicence": "account_tree",
    }),
    (_("Products and trade"), {
        "catalog.demand": "campaign", "catalog.answer": "forum",
        "catalog.product": "inventory_2", "catalog.version": "history_edu", "licensing.licence": "key",
        "settlement.meteredquery": "query_stats", "settlement.joinedproduct": "join", "settlement.usage": "speed",
        "settlement.transfer": "account_balance",
    }),
    (_("My parties"), {
        "parties.application": "badge", "parties.party": "domain", "parties.accreditation": "workspace_premium",
        "parties.notice": "notifications", "parties.document": "folder", "parties.client": "vpn_key",
    }),
)  # fmt: skip
REST = (_("Running the exchange"), "settings")


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    """The desks this person may open, by heading."""
    desks = {model._meta.label_lower: desk for model, desk in admin.site._registry.items()}
    known = {label for _, labels in GROUPS for label in labels}
    rest = {label: REST[1] for label in desks if label not in known}
    found = [{"title": _("Work"), "items": [
        {"title": _("My work"), "icon": "checklist", "link": reverse("admin:index")},
        {"title": _("Your party"), "icon": "groups", "link": reverse("parties"), "active": False},
        {"title": _("Second factor"), "icon": "password", "link": reverse("second-factor"), "active": False},
        {"title": _("The public hall"), "icon": "public", "link": reverse("front"), "active": False},
    ]}]  # fmt: skip
    for title, labels in (*GROUPS, (REST[0], rest)):
        items = [
            _item(desks[label], icon)
            for label, icon in labels.items()
            if label in desks and desks[label].has_view_permission(request)
        ]
        if items:
            found.append({"title": title, "items": items})
    return found


def _item(desk: Any, icon: str) -> dict[str, Any]:
    link = reverse(f"admin:{desk.opts.app_label}_{desk.opts.model_name}_changelist")
    return {"title": capfirst(desk.opts.verbose_name_plural), "icon": icon, "link": link}
