"""The desks of the demand board: buyers post, moderators publish, merchants answer."""

from typing import Any

from django.contrib import admin
from django.db.models import Q
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from catalog import demands
from catalog.models import Answer, Demand, Product
from exchange.parties.accreditation import accredited
from exchange.parties.acts import parties_of
from exchange.parties.models import Role, User
from exchange.portal.admin.desks import owned
from exchange.portal.admin.stepped import Stepped, step


@admin.register(Demand)
class DemandAdmin(Stepped):
    """One's own, and for a moderator what was submitted to it: a draft is nobody else's."""

    open = staticmethod(demands.do_open)
    take = staticmethod(demands.do_step)
    party_paths = ("party", "moderator")
    names_others = ("moderator",)
    may_add_as = (Role.BUYER,)
    changed_by = ("party",)
    list_display = ("title_zh", "party", "sector", "until", "published_on", "state")
    list_filter = ("state", "sector")
    search_fields = ("title_zh", "title_en")
    readonly_fields = ("state", "published_on")
    actions = (
        step("submit", _("Submit")),
        step("publish", _("Put on the board")),
        step("send_back", _("Send back")),
        step("withdraw", _("Withdraw")),
        step("close", _("Close")),
        step("take_down", _("Take down")),
    )

    def own(self, user: User) -> Q:
        """What was withdrawn before it was published stays its author's."""
        return owned(self.changed_by, user) | (super().own(user) & ~Q(state=Demand.State.WITHDRAWN))

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "moderator":
            kwargs["queryset"] = accredited(*demands.MODERATORS)
        return super().formfield_for_foreignkey(db_field, request, **kwargs)


@admin.register(Answer)
class AnswerAdmin(Stepped):
    """What a merchant answered, for itself and for whoever posted the demand."""

    open = staticmethod(demands.do_answer)
    take = staticmethod(demands.do_decide)
    party_paths = ("party", "demand__party")
    may_add_as = (Role.MERCHANT,)
    edited_in = ()
    list_display = ("demand", "party", "product", "made_on", "state")
    list_filter = ("state",)
    readonly_fields = ("state", "made_on")
    actions = (
        step("accept", _("Accept the answer")),
        step("decline", _("Decline the answer")),
        step("withdraw", _("Withdraw")),
    )

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """A demand on the board, with a product of one's own that is listed."""
        if db_field.name == "demand":
            kwargs["queryset"] = demands.BOARD
        if db_field.name == "product":
            mine = Product.objects.filter(state=Product.State.LISTED)
            own = mine if request.user.is_superuser else mine.filter(merchant__in=parties_of(request.user))
            kwargs["queryset"] = own
        return super().formfield_for_foreignkey(db_field, request, **kwargs)
