"""What codes are called on pages, in the reader's language."""

from typing import Any

from django.utils.translation import gettext_lazy as _

from catalog.models import Product, Resource
from catalog.models.authorizations import Mode
from exchange.portal.texts import english

SECTORS = {
    "agriculture": ("农业农村", "Agriculture"), "carbon": ("碳排放", "Carbon"), "credit": ("信用", "Credit"),
    "culture": ("文化旅游", "Culture and tourism"), "education": ("教育", "Education"),
    "environment": ("生态环境", "Environment"), "finance": ("金融", "Finance"), "health": ("医疗健康", "Health"),
    "housing": ("住房", "Housing"), "industry": ("工业", "Industry"), "market": ("市场监管", "Market regulation"),
    "ocean": ("海洋", "Ocean"), "safety": ("应急安全", "Safety"), "space": ("空间", "Space"),
    "tax": ("税务", "Tax"), "technology": ("科技", "Technology"), "trade": ("商贸", "Trade"),
    "transport": ("交通运输", "Transport"), "utilities": ("公用事业", "Utilities"), "weather": ("气象", "Weather"),
}  # fmt: skip
"""Sectors that have a name; others are shown as they are written."""

PROFILES = {
    "open": _("open: exact aggregates"),
    "guarded": _("guarded: no small or dominated cell"),
    "private": _("private: with differential privacy"),
}
WHAT = {"resource": _("Resources"), "product": _("Products")}
ROLES = {
    "dimension": _("dimension: to group and filter by"),
    "measure": _("measure: to sum and average"),
    "entity": _("protected entity: only counted, never shown"),
}
KINDS = {
    "string": _("text"), "integer": _("whole number"), "decimal": _("decimal number"), "boolean": _("yes or no"),
    "date": _("date"),
}  # fmt: skip
PRICES = {"public_good": _("free, by rule"), "industry": _("for a fee, as licensed")}  # 65号

_CHOICES: dict[str, dict[str, Any]] = {
    "what": WHAT, "kind": dict(Product.Kind.choices), "profile": PROFILES, "mode": dict(Mode.choices),
    "use": dict(Product.Use.choices), "data_class": dict(Resource.DataClass.choices),
}  # fmt: skip


def sector(code: str) -> str:
    """A sector's name, or the sector as it is written."""
    names = SECTORS.get(code)
    return names[english()] if names else code


def label(facet: str, value: str) -> str:
    """What a value of a facet is called; of a holder, see directory."""
    return sector(value) if facet == "sector" else str(_CHOICES.get(facet, {}).get(value, value))
