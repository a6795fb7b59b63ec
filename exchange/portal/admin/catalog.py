"""Resources and their snapshots."""

from collections.abc import Sequence

from django.contrib import admin, messages
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from unfold.admin import TabularInline

from catalog import registry, snapshots
from catalog.models import Column, Resource, Snapshot
from exchange.errors import Problem
from exchange.parties.models import Role
from exchange.portal.admin.desks import ReadOnly, Registered, owned, transition
from exchange.portal.admin.tables import Imported, ResourceTable
from exchange.portal.texts import told


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
        "serve_snapshot",
    )

    @admin.action(description=_("Take the node's snapshot into service"))
    def serve_snapshot(self, request: HttpRequest, rows: QuerySet[Resource]) -> None:
        """After an intake: the exchange asks the node which snapshot of it is in service."""
        theirs = rows if request.user.is_superuser else rows.filter(owned(self.changed_by, request.user))
        for resource in theirs:
            try:
                found = snapshots.refresh(resource, str(request.user.pk))
            except Problem as problem:
                self.message_user(request, f"{resource}: {told(problem)}", messages.ERROR)
            else:
                self.message_user(request, f"{resource}: {found}", messages.SUCCESS)


@admin.register(Snapshot)
class SnapshotAdmin(ReadOnly):
    party_paths = ("resource__holder",)
    list_display = ("code", "resource", "known_since")
