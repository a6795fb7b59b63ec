"""Licences, and what is metered and paid."""

from functools import cached_property
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin
from unfold.widgets import UnfoldAdminIntegerFieldWidget

from catalog.models import Product
from exchange.errors import Problem
from exchange.parties.acts import parties_of
from exchange.parties.models import Role
from exchange.portal.admin.desks import DraftForm, ReadOnly, Registered, owned, transition
from exchange.portal.texts import told
from licensing import registry as licence_registry
from licensing.models import Licence
from licensing.tariff import MOST
from settlement.models import JoinedProduct, MeteredQuery, Transfer, Usage

PARTS = ("per_call", "per_cell")  # of a tariff


class LicenceForm(DraftForm):
    """A licence whose tariff is a number for each of its parts."""

    per_call = forms.IntegerField(
        label=_("price of a call (minor units)"), min_value=0, max_value=MOST, initial=0,
        widget=UnfoldAdminIntegerFieldWidget,
    )  # fmt: skip
    per_cell = forms.IntegerField(
        label=_("price of a cell (minor units)"), min_value=0, max_value=MOST, initial=0,
        widget=UnfoldAdminIntegerFieldWidget,
    )  # fmt: skip

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in PARTS:
            self.initial.setdefault(name, self.instance.tariff.get(name, 0))

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        self.instance.tariff = {name: cleaned.get(name) or 0 for name in PARTS}
        return cleaned

    @cached_property
    def changed_data(self) -> list[str]:
        """By the names of the fields that are saved."""
        return list(dict.fromkeys("tariff" if name in PARTS else name for name in super().changed_data))


@admin.register(Licence)
class LicenceAdmin(Registered):
    form = LicenceForm
    words = ("purposes",)
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

    def get_fieldsets(self, request: HttpRequest, obj: Licence | None = None) -> Any:
        open_ = obj is None or self.has_change_permission(request, obj)
        prices = PARTS if open_ else ("tariff",)
        return ((None, {"fields": ("product", "buyer", "purposes", "quota", "share", *prices, "since", "until",
                                   "state", "version")}),)  # fmt: skip

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        if obj is not None and not self.has_change_permission(request, obj):
            kwargs["form"] = DraftForm
        return super().get_form(request, obj, change, **kwargs)

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
