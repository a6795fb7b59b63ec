"""Resources, plans and authorizations."""

from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from unfold.admin import TabularInline

from catalog import authorizing, registry
from catalog.models import (
    Authorization,
    Column,
    Plan,
    Resource,
    Snapshot,
)
from exchange.parties.acts import parties_of
from exchange.parties.models import Role
from exchange.portal.admin.desks import ReadOnly, Registered, transition
from exchange.portal.admin.stepped import Stepped, step
from exchange.portal.admin.tables import Imported, ResourceTable


class ColumnsInline(TabularInline):
    model = Column
    extra = 0
    can_delete = False
    fields = readonly_fields = ("name", "kind", "role", "label_zh", "label_en")

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return True

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


@admin.register(Resource)
class ResourceAdmin(Imported, Registered):
    resource_classes = (ResourceTable,)
    party_paths = ("holder",)
    may_add_as = (Role.HOLDER,)
    changed_by = ("holder",)
    list_display = ("code", "name_zh", "name_en", "holder", "sector", "data_class", "state")
    list_filter = ("state", "sector")
    search_fields = ("code", "name_zh", "name_en")
    readonly_fields = ("state", "snapshot")
    inlines = (ColumnsInline,)

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> Sequence[str]:
        fixed = obj is not None and not registry.free_to_change(obj)
        return (*self.readonly_fields, *(sorted(registry.REGISTERED) if fixed else ()))

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
    filter_horizontal = ("listed", "excluded")
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


@admin.register(Snapshot)
class SnapshotAdmin(ReadOnly):
    party_paths = ("resource__holder",)
    list_display = ("code", "resource", "known_since")
