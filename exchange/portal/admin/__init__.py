"""The admin: a desk for each kind of object. What desks have in common stands in `desks`.

No rule lives here: saving goes through the registries, so that every change is a record in the log.
"""

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from exchange.portal.admin import (
    authorizing,
    catalog,
    demands,
    onboarding,
    people,
    products,
    registry,
    sources,
    sublicensing,
    trade,
)

__all__ = [
    "authorizing",
    "catalog",
    "demands",
    "onboarding",
    "people",
    "products",
    "registry",
    "sources",
    "sublicensing",
    "trade",
]

admin.site.site_header = admin.site.site_title = "Sluice · 公共数据授权运营"
admin.site.index_title = _("Work")
admin.site.index_template = "portal/desk/index.html"
