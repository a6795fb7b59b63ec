"""The desk of sub-licences: merchants and operators draft them, the operator grants them."""

from typing import Any

from django.contrib import admin
from django.db.models import Model, Q
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from catalog import sublicensing
from catalog.covers import Mode
from catalog.models import Authorization, SubLicence
from exchange.parties.accreditation import accredited
from exchange.parties.acts import parties_of
from exchange.parties.models import Role
from exchange.portal.admin.desks import DraftForm
from exchange.portal.admin.papers import Papered, file_of, form_with
from exchange.portal.admin.stepped import step


@admin.register(SubLicence)
class SubLicenceAdmin(Papered):
    """One's own as a merchant, and those under one's authorizations as an operator."""

    open = staticmethod(sublicensing.do_open)
    take = staticmethod(sublicensing.do_step)
    party_paths = ("merchant", "authorization__operator")
    may_add_as = (Role.MERCHANT, Role.OPERATOR)
    changed_by = ("merchant", "authorization__operator")
    list_display = ("authorization", "merchant", "since", "until", "state")
    list_filter = ("state",)
    list_select_related = ("authorization", "merchant")
    readonly_fields = ("state",)
    form = form_with({}, "contract")
    actions = (
        step("submit", _("Submit")),
        step("grant", _("Grant")),
        step("decline", _("Decline")),
        step("suspend", _("Suspend")),
        step("resume", _("Resume")),
        step("end", _("End")),
        step("withdraw", _("Withdraw")),
    )

    def get_fieldsets(self, request: HttpRequest, obj: Model | None = None) -> Any:
        open_ = obj is None or self.has_change_permission(request, obj)
        paper = ("contract", file_of("contract")) if open_ else ("contract",)
        return ((None, {"fields": ("authorization", "merchant", "scope", *paper, "since", "until", "state")}),)

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        if obj is not None and not self.has_change_permission(request, obj):
            kwargs["form"] = DraftForm
        return super().get_form(request, obj, change, **kwargs)

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """A merchant names itself, an operator any merchant; under what is in force and can be sub-licensed."""
        mine = parties_of(request.user)
        if db_field.name == "authorization":
            live = Authorization.objects.filter(state=Authorization.State.IN_FORCE).exclude(mode=Mode.SCENARIO)
            kwargs["queryset"] = live
        if db_field.name == "merchant":
            operates = request.user.is_superuser or accredited(Role.OPERATOR).filter(pk__in=mine).exists()
            kwargs["queryset"] = accredited(Role.MERCHANT).filter(Q() if operates else Q(pk__in=mine))
            return super(admin.ModelAdmin, self).formfield_for_foreignkey(db_field, request, **kwargs)
        return super().formfield_for_foreignkey(db_field, request, **kwargs)
