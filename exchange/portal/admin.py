"""The admin: a desk for each kind of object. What desks have in common stands in `desks`.

No rule lives here: saving goes through the registries, so that every change is a record in the log.
"""

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.db import transaction
from django.db.models import F, Model, Q, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from catalog import authorizing, registration
from catalog.models import (
    Authorization,
    Column,
    Domain,
    Objection,
    Plan,
    Product,
    Registration,
    RegistrationItem,
    Resource,
    Snapshot,
)
from exchange.audit.models import Checkpoint, Record
from exchange.errors import Problem
from exchange.parties import acts, days, documents
from exchange.parties.acts import parties_of
from exchange.parties.models import Accreditation, Client, Day, Document, Membership, Notice, Party, Role, User
from exchange.portal.desks import ReadOnly, Registered, Stepped, step, transition
from exchange.portal.texts import told
from licensing import registry as licence_registry
from licensing.models import Licence
from settlement.models import Account, JoinedProduct, MeteredQuery, Transfer, Usage

admin.site.site_header = admin.site.site_title = "Sluice · 公共数据授权运营"
admin.site.index_title = _("Work")

# Tokens and grants are nobody's to look at; clients have an admin below.
admin.site.unregister([model for model in list(admin.site._registry) if model._meta.app_label == "oauth2_provider"])
admin.site.unregister(Client)


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


def _plans(request: HttpRequest) -> QuerySet[Plan]:
    mine = parties_of(request.user)
    return Plan.objects.filter(Q(authority__in=mine) | Q(body__in=mine))


class Authorizing(Stepped):
    """Plans and authorizations."""

    open = staticmethod(authorizing.do_open)
    take = staticmethod(authorizing.do_step)
    may_add_as = (Role.AUTHORITY,)

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.related_model is Plan and not request.user.is_superuser:
            kwargs["queryset"] = _plans(request)
        return super().formfield_for_foreignkey(db_field, request, **kwargs)


@admin.register(Plan)
class PlanAdmin(Authorizing):
    party_paths = ("body", "authority")
    names_others = ("authority",)
    changed_by = ("body",)
    list_display = ("code", "name_zh", "mode", "body", "authority", "state")
    list_filter = ("mode", "state")
    actions = (
        step("submit", _("Submit")),
        step("send_back", _("Send back")),
        step("approve", _("Approve")),
        step("file", _("File")),
        step("withdraw", _("Withdraw")),
    )


@admin.register(Authorization)
class AuthorizationAdmin(Authorizing):
    party_paths = ("authority", "operator")
    names_others = ("operator",)
    changed_by = ("authority",)
    list_display = ("code", "name_zh", "mode", "operator", "since", "until", "state")
    list_filter = ("mode", "state")
    filter_horizontal = ("merchants", "listed", "excluded")
    readonly_fields = ("state", "published_on")
    actions = (
        step("submit", _("Submit")),
        step("send_back", _("Send back")),
        step("sign", _("Sign")),
        step("publish", _("Publish")),
        step("suspend", _("Suspend")),
        step("resume", _("Resume")),
        step("end", _("End")),
    )


class ItemForm(forms.ModelForm):
    """An item with a file to take in."""

    file = forms.FileField(label=_("document"), required=False)

    class Meta:
        model = RegistrationItem
        fields = ("what", "text")
        widgets = {"text": forms.Textarea(attrs={"rows": 2, "cols": 60})}

    def clean_file(self) -> Any:
        """Keeps the file. Raises ValidationError where it is no document."""
        file = self.cleaned_data["file"]
        if file is None:
            return None
        try:
            documents.check(file)
        except Problem as problem:
            raise forms.ValidationError(told(problem)) from None
        return file


class ItemsInline(admin.TabularInline):
    model = RegistrationItem
    form = ItemForm
    extra = 0
    max_num = len(RegistrationItem.What)
    readonly_fields = ("document",)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return True  # who sees the application sees its items

    def has_change_permission(self, request: HttpRequest, obj: Registration | None = None) -> bool:
        return obj is None or obj.state in RegistrationAdmin.edited_in

    def has_add_permission(self, request: HttpRequest, obj: Registration | None = None) -> bool:
        return self.has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Registration | None = None) -> bool:
        return self.has_change_permission(request, obj)


@admin.register(Registration)
class RegistrationAdmin(Stepped):
    """The registrar's work list and the registrant's applications; what is due first stands on top."""

    open = staticmethod(registration.do_open)
    take = staticmethod(registration.do_step)
    party_paths = ("registrant", "registrar")
    names_others = ("registrar",)
    may_add_as = (Role.HOLDER, Role.OPERATOR, Role.MERCHANT)
    changed_by = ("registrant",)
    edited_in = ("draft", "returned")
    list_display = ("__str__", "kind", "registrant", "state", "due_on", "code", "until")
    list_filter = ("state", "kind", ("due_on", admin.DateFieldListFilter))
    ordering = (F("due_on").asc(nulls_last=True), "-id")
    readonly_fields = ("state", "due_on", "code", "since", "until")
    inlines = (ItemsInline,)
    actions = (
        step("submit", _("Submit")),
        step("ask", _("Ask for missing material")),
        step("accept", _("Accept")),
        step("decline", _("Decline")),
        step("publish", _("Put under notice")),
        step("enter", _("Enter")),
        step("end", _("End for an objection")),
        step("withdraw", _("Withdraw")),
        step("revoke", _("Revoke")),
    )

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if not request.user.is_superuser:
            mine = parties_of(request.user)
            if db_field.name == "resource":
                kwargs["queryset"] = Resource.objects.filter(holder__in=mine)
            if db_field.name == "product":
                kwargs["queryset"] = Product.objects.filter(merchant__in=mine)
            if db_field.name == "registrar":
                kwargs["queryset"] = Party.objects.filter(accreditations__role=Role.REGISTRAR).distinct()
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def save_formset(self, request: HttpRequest, form: forms.ModelForm, formset: Any, change: bool) -> None:
        """Items with their files, which are kept as the registrant's documents."""
        for each in formset.forms:
            if upload := each.cleaned_data.get("file"):
                each.instance.document = documents.store(form.instance.registrant, upload, request.user)
        formset.save()


@admin.register(Objection)
class ObjectionAdmin(Stepped):
    """Made in the hall, decided here."""

    take = staticmethod(registration.do_decide)
    party_paths = ("registration__registrar",)
    edited_in = ()
    list_display = ("name", "registration", "made_on", "state")
    list_filter = ("state",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    actions = (step("uphold", _("Uphold")), step("dismiss", _("Dismiss")))


@admin.register(Day)
class DayAdmin(admin.ModelAdmin):
    """Days that are worked or not against the week; who registers may look and add, nothing is deleted."""

    list_display = ("day", "name", "worked", "provisional", "edited")
    list_filter = ("worked", "provisional")
    date_hierarchy = "day"
    fields = ("day", "worked", "name")

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return bool(request.user.is_active and request.user.is_staff)

    has_module_permission = has_view_permission

    def has_add_permission(self, request: HttpRequest) -> bool:
        registrars = parties_of(request.user).filter(accreditations__role=Role.REGISTRAR)
        return request.user.is_superuser or registrars.exists()

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self.has_add_permission(request)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: Day, form: forms.ModelForm, change: bool) -> None:
        with transaction.atomic():
            days.do_edit(obj, actor=str(request.user.pk))
            acts.reset_clocks()


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

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """What was listed once is not edited: buyers were promised it as it was."""
        editable = obj is None or obj.state == Product.State.DRAFT or request.user.is_superuser
        return editable and super().has_change_permission(request, obj)

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """What is in force may be chosen; a draft of others is nobody's to see."""
        if db_field.name == "authorization" and not request.user.is_superuser:
            mine, live = parties_of(request.user), Authorization.State.IN_FORCE
            by_right = Q(operator__in=mine) | Q(merchants__in=mine) | Q(grantee__in=mine)
            kwargs["queryset"] = Authorization.objects.filter(by_right, state=live).distinct()
        if db_field.name == "resource" and not request.user.is_superuser:
            kwargs["queryset"] = Resource.objects.filter(state=Resource.State.REGISTERED)
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

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
