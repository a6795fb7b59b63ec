"""Licences, and what is metered and paid."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin

from catalog.models import (
    Product,
)
from exchange.errors import Problem
from exchange.parties.acts import parties_of
from exchange.parties.models import Role
from exchange.portal.admin.desks import ReadOnly, Registered, owned, transition
from exchange.portal.texts import told
from licensing import registry as licence_registry
from licensing.models import Licence
from settlement.models import JoinedProduct, MeteredQuery, Transfer, Usage


@admin.register(Licence)
class LicenceAdmin(Registered):
    registry = licence_registry
    party_paths = ("product__merchant", "buyer")
    may_add_as = (Role.MERCHANT,)
    changed_by = ("product__merchant",)
    list_display = ("product", "version", "buyer", "purposes", "quota", "since", "until", "state")
    list_filter = ("state",)
    readonly_fields = ("state", "version")
    actions = (
        transition("in_force", _("Put in force"), ("product__merchant",)),
        transition("suspended", _("Suspend"), ("product__merchant",)),
        transition("ended", _("End"), ("product__merchant",)),
        "succeed",
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Licence]:
        """Those of delivery reviews are nobody's to change; the version's page shows what they gave."""
        rows = super().get_queryset(request)
        return rows if request.user.is_superuser else rows.filter(review=False)

    @admin.action(description=_("Move to the live version"))
    def succeed(self, request: HttpRequest, rows: QuerySet[Licence]) -> None:
        theirs = rows if request.user.is_superuser else rows.filter(owned(self.changed_by, request.user))
        for licence in rows.exclude(pk__in=theirs.values("pk")):
            self.message_user(request, f"{licence}: {_('Your party may not do this.')}", messages.ERROR)
        for licence in theirs:
            try:
                licence_registry.do_succeed(licence, str(request.user.pk))
            except Problem as problem:
                self.message_user(request, f"{licence}: {told(problem)}", messages.ERROR)
            else:
                self.message_user(request, f"{licence}: {licence.version}", messages.SUCCESS)

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "buyer":  # the merchant names another party here
            return ModelAdmin.formfield_for_foreignkey(self, db_field, request, **kwargs)
        if db_field.name == "product" and not request.user.is_superuser:
            kwargs["queryset"] = Product.objects.filter(merchant__in=parties_of(request.user))
        return super().formfield_for_foreignkey(db_field, request, **kwargs)


@admin.register(MeteredQuery)
class QueryAdmin(ReadOnly):
    party_paths = (
        "party",
        "product__merchant",
        "product__resource__holder",
        "product__authorization__operator",
    )
    list_display = ("id", "product", "party", "purpose", "state", "code", "stored", "asked_at")
    list_filter = ("state", "stored")
    exclude = ("order", "terms", "outputs", "body_digest", "idempotency_key", "release_key")


@admin.register(Usage)
class UsageAdmin(ReadOnly):
    party_paths = ("query__party", "query__product__merchant", "query__product__authorization__operator")
    list_display = ("query", "licence", "outcome", "calls", "cells", "amount", "currency", "used_at")


@admin.register(JoinedProduct)
class JoinedProductAdmin(ReadOnly):
    party_paths = (
        "query__party",
        "product__merchant",
        "product__resource__holder",
        "product__authorization__operator",
    )
    list_display = ("query", "product", "licence", "snapshot", "price")
    exclude = ("terms",)


@admin.register(Transfer)
class TransferAdmin(ReadOnly):
    party_paths = ("debit__party", "credit__party")
    list_display = ("made_at", "kind", "debit", "credit", "amount", "role", "query")
    list_filter = ("kind",)
