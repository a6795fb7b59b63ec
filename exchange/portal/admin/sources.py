"""The desks of data items and their sources: registrars keep the items and decide, holders claim."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from catalog import sources
from catalog.models import Claim, DataItem, Resource
from exchange.parties.acts import parties_of
from exchange.parties.models import Role
from exchange.portal.admin.desks import Registered
from exchange.portal.admin.stepped import Stepped, step
from exchange.portal.admin.tables import DataItemTable, Imported


class Contested(admin.SimpleListFilter):
    """Items that more than one resource claims."""

    title, parameter_name = _("conflict"), "contested"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("yes", _("contested"))]

    def queryset(self, request: HttpRequest, rows: QuerySet[Any]) -> QuerySet[Any]:
        return sources.contested(rows) if self.value() == "yes" else rows


@admin.register(DataItem)
class DataItemAdmin(Imported, Registered):
    """Everybody at a desk sees the items, for whoever holds data is to know what to claim."""

    resource_classes = (DataItemTable,)
    party_paths = ("registrar",)
    may_add_as = (Role.REGISTRAR,)
    changed_by = ("registrar",)
    list_display = ("code", "name_zh", "name_en", "source")
    list_filter = (Contested,)
    search_fields = ("code", "name_zh", "name_en")

    @admin.display(description=_("authoritative source"))
    def source(self, item: DataItem) -> str:
        return str(item.upheld or "–")

    def get_queryset(self, request: HttpRequest) -> QuerySet[DataItem]:
        return sources.with_source(DataItem.objects.all())


@admin.register(Claim)
class ClaimAdmin(Stepped):
    """A holder's claims; for the registrar those to its items."""

    open = staticmethod(sources.do_claim)
    take = staticmethod(sources.do_step)
    party_paths = ("resource__holder", "item__registrar")
    may_add_as = (Role.HOLDER,)
    edited_in = ()
    list_display = ("item", "resource", "column", "state")
    list_filter = ("state",)
    list_select_related = ("item", "resource")
    readonly_fields = ("state",)
    actions = (
        step("uphold", _("Decide for this source")),
        step("dismiss", _("Decide against this source")),
        step("withdraw", _("Withdraw")),
    )

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "resource" and not request.user.is_superuser:
            kwargs["queryset"] = Resource.objects.filter(holder__in=parties_of(request.user))
        return super().formfield_for_foreignkey(db_field, request, **kwargs)
