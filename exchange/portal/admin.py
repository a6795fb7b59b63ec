"""The admin: each person sees the objects of their own parties, and more only where guardian shares it.

No rule lives here: saving goes through the registries, so that every change is a record in the log.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ActionForm
from django.contrib.auth.admin import UserAdmin
from django.db.models import Model, Q, QuerySet
from django.forms import ModelForm
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from guardian.shortcuts import get_objects_for_user

from catalog import authorizing
from catalog import registry as catalog_registry
from catalog.models import Authorization, Column, Domain, Product, Resource, Snapshot
from exchange.audit.models import Checkpoint, Record
from exchange.errors import CODES, Problem
from exchange.parties.models import Accreditation, Client, Document, Membership, Notice, Party, Role, User
from licensing import registry as licence_registry
from licensing.models import Licence
from settlement.models import Account, JoinedProduct, MeteredQuery, Transfer, Usage

admin.site.site_header = admin.site.site_title = "Sluice · 公共数据授权运营"
admin.site.index_title = _("Work")

# Tokens and grants are nobody's to look at; clients have an admin below.
admin.site.unregister([model for model in list(admin.site._registry) if model._meta.app_label == "oauth2_provider"])
admin.site.unregister(Client)


def parties_of(user: User) -> QuerySet[Party]:
    return Party.objects.filter(memberships__user=user, state=Party.State.ACTIVE)


class OwnObjects(admin.ModelAdmin):
    """Rows are found by their party column; guardian's shares come on top. Nothing is ever deleted."""

    party_paths: ClassVar[tuple[str, ...]] = ()
    may_add_as: ClassVar[tuple[str, ...]] = ()  # roles whose members may add
    changed_by: ClassVar[tuple[str, ...]] = ()  # paths to the party whose members may change; seeing is not changing

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows = super().get_queryset(request)
        user = request.user
        if user.is_superuser:
            return rows
        shared = get_objects_for_user(user, f"{self.opts.app_label}.view_{self.opts.model_name}", self.model)
        return rows.filter(owned(self.party_paths, user) | Q(pk__in=shared.values("pk"))).distinct()

    def has_module_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.is_active and request.user.is_staff)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self.has_module_permission(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.is_superuser or self._acts_as(request, self.may_add_as)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        if obj is None or request.user.is_superuser:
            return self.has_add_permission(request)
        mine = self.model._default_manager.filter(owned(self.changed_by, request.user), pk=obj.pk)
        return self.has_add_permission(request) and mine.exists()

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Whoever adds an object for a party adds it for a party of their own."""
        if db_field.name in self.party_paths and not request.user.is_superuser:
            kwargs["queryset"] = parties_of(request.user)
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    @staticmethod
    def _acts_as(request: HttpRequest, roles: Sequence[str]) -> bool:
        return parties_of(request.user).filter(accreditations__role__in=roles).exists()


class Registered(OwnObjects):
    """Objects whose changes go through a registry."""

    registry: ClassVar[Any] = catalog_registry

    def save_model(self, request: HttpRequest, obj: Any, form: ModelForm, change: bool) -> None:
        actor = str(request.user.pk)
        if not change:
            self.registry.do_create(obj, actor)
        elif form.changed_data:
            own = {field.name for field in obj._meta.concrete_fields}
            self.registry.do_change(obj, actor, [name for name in form.changed_data if name in own])

    def move(self, request: HttpRequest, rows: QuerySet[Any], to: str) -> None:
        for row in rows:
            try:
                self.registry.do_transition(row, to, str(request.user.pk))
            except Problem as problem:
                self.message_user(request, f"{row}: {problem_text(problem, request)}", messages.ERROR)
            else:
                self.message_user(request, f"{row}: {row.get_state_display()}", messages.SUCCESS)


def problem_text(problem: Problem, request: HttpRequest) -> str:
    row = CODES[problem.code]
    title = row.zh if str(getattr(request, "LANGUAGE_CODE", "zh")).startswith("zh") else row.en
    return f"{title} {problem.detail}".strip()


def transition(to: str, label: Any, paths: tuple[str, ...]) -> Any:
    """An admin action that moves the selected rows to a state, for members of the parties that `paths` name."""

    @admin.action(description=label)
    def act(model_admin: Registered, request: HttpRequest, rows: QuerySet[Any]) -> None:
        theirs = rows if request.user.is_superuser else rows.filter(owned(paths, request.user))
        for row in rows.exclude(pk__in=theirs.values("pk")):
            model_admin.message_user(request, f"{row}: {_('Your party may not do this.')}", messages.ERROR)
        model_admin.move(request, theirs, to)

    act.__name__ = f"to_{to}"
    return act


class WithReason(ActionForm):
    """Beside the choice of a step, its reason."""

    reason = forms.CharField(label=_("reason"), max_length=2_000, required=False)


def step(name: str, label: Any) -> Any:
    """An admin action that takes a step of an authorization; who may is for the machine to say."""

    @admin.action(description=label)
    def act(model_admin: Registered, request: HttpRequest, rows: QuerySet[Any]) -> None:
        for row in rows:
            try:
                row = authorizing.do_step(row, name, request.user, request.POST.get("reason", ""))
            except Problem as problem:
                model_admin.message_user(request, f"{row}: {problem_text(problem, request)}", messages.ERROR)
            else:
                model_admin.message_user(request, f"{row}: {row.get_state_display()}", messages.SUCCESS)

    act.__name__ = f"step_{name}"
    return act


def owned(paths: Sequence[str], user: User) -> Q:
    """The rows whose party at one of `paths` is one of the user's."""
    mine = Q(pk__in=[])
    for path in paths:
        mine |= Q(**{f"{path}__in": parties_of(user)})
    return mine


class ReadOnly(OwnObjects):
    """Evidence: looked at, never edited."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class ColumnsInline(admin.TabularInline):
    model = Column
    extra = 0
    can_delete = False
    fields = readonly_fields = ("name", "kind", "role", "label_zh", "label_en")

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return True

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


@admin.register(Resource)
class ResourceAdmin(Registered):
    party_paths = ("holder",)
    may_add_as = (Role.HOLDER,)
    changed_by = ("holder",)
    list_display = ("code", "name_zh", "name_en", "holder", "sector", "data_class", "state")
    list_filter = ("state", "sector")
    search_fields = ("code", "name_zh", "name_en")
    readonly_fields = ("state", "snapshot")
    inlines = (ColumnsInline,)
    actions = (
        transition("registered", _("Resume"), ("holder",)),
        transition("suspended", _("Suspend"), ("holder",)),
    )


@admin.register(Authorization)
class AuthorizationAdmin(Registered):
    party_paths = ("authority", "operator")
    may_add_as = (Role.AUTHORITY,)
    changed_by = ("authority",)
    list_display = ("code", "name_zh", "mode", "operator", "since", "until", "state")
    list_filter = ("mode", "state")
    filter_horizontal = ("merchants", "listed", "excluded")
    readonly_fields = ("state",)
    actions = (
        step("submit", _("Submit")),
        step("sign", _("Sign")),
        step("publish", _("Publish")),
        step("suspend", _("Suspend")),
        step("resume", _("Resume")),
        step("end", _("End")),
    )
    action_form = WithReason

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """What is submitted is not edited any more."""
        drafted = obj is None or obj.state == Authorization.State.DRAFT or request.user.is_superuser
        return drafted and super().has_change_permission(request, obj)

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "operator":  # the authority names another party here
            return admin.ModelAdmin.formfield_for_foreignkey(self, db_field, request, **kwargs)
        return super().formfield_for_foreignkey(db_field, request, **kwargs)


@admin.register(Product)
class ProductAdmin(Registered):
    party_paths = ("merchant",)
    may_add_as = (Role.MERCHANT,)
    changed_by = ("merchant",)
    list_display = ("code", "name_zh", "name_en", "merchant", "resource", "profile", "use", "state")
    list_filter = ("state", "profile", "use")
    search_fields = ("code", "name_zh", "name_en")
    readonly_fields = ("state",)
    actions = (
        transition("listed", _("List"), ("authorization__operator",)),
        transition("suspended", _("Suspend"), ("authorization__operator", "merchant")),
        transition("delisted", _("Delist"), ("authorization__operator", "merchant")),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Product]:
        """A merchant's own, and for an operator those under its authorizations."""
        rows = admin.ModelAdmin.get_queryset(self, request)
        if request.user.is_superuser:
            return rows
        mine = parties_of(request.user)
        return rows.filter(Q(merchant__in=mine) | Q(authorization__operator__in=mine)).distinct()


@admin.register(Licence)
class LicenceAdmin(Registered):
    registry = licence_registry
    party_paths = ("product__merchant", "buyer")
    may_add_as = (Role.MERCHANT,)
    changed_by = ("product__merchant",)
    list_display = ("product", "buyer", "purposes", "quota", "since", "until", "state")
    list_filter = ("state",)
    readonly_fields = ("state",)
    actions = (
        transition("in_force", _("Put in force"), ("product__merchant",)),
        transition("suspended", _("Suspend"), ("product__merchant",)),
        transition("ended", _("End"), ("product__merchant",)),
    )

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "buyer":  # the merchant names another party here
            return admin.ModelAdmin.formfield_for_foreignkey(self, db_field, request, **kwargs)
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


@admin.register(Notice)
class NoticeAdmin(ReadOnly):
    party_paths = ("party",)
    list_display = ("made_at", "party", "kind", "text_zh", "text_en")


@admin.register(Snapshot)
class SnapshotAdmin(ReadOnly):
    party_paths = ("resource__holder",)
    list_display = ("code", "resource", "known_since")


@admin.register(Client)
class ClientAdmin(ReadOnly):
    party_paths = ("party",)
    list_display = ("name", "party", "client_id")
    fields = ("name", "party", "client_id")


@admin.register(Document)
class DocumentAdmin(ReadOnly):
    party_paths = ("party",)
    list_display = ("name", "party", "media_type", "size", "added_at")
    fields = ("name", "party", "media_type", "size", "added_at")


class ForOperatorsOfTheExchange(admin.ModelAdmin):
    """For breaking glass: superusers only, and nothing is deleted."""

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class Evidence(ForOperatorsOfTheExchange):
    """Superusers may look at evidence, nobody may edit it."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


@admin.register(Record)
class RecordAdmin(Evidence):
    list_display = ("time", "kind", "licence", "seq")
    list_filter = ("kind",)


@admin.register(Checkpoint)
class CheckpointAdmin(Evidence):
    list_display = ("size", "time")


@admin.register(User)
class PeopleAdmin(ForOperatorsOfTheExchange, UserAdmin):
    pass


admin.site.register([Party, Membership, Accreditation, Domain, Account], ForOperatorsOfTheExchange)
