"""The desks of authorizing: implementation plans, and the agreements that follow from them."""

from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from catalog import authorizing
from catalog.agreements import AGREEMENT_ITEMS, PLAN_ITEMS
from catalog.models import Authorization, Plan
from exchange.errors import Problem
from exchange.parties.acts import parties_of
from exchange.parties.models import Role, User
from exchange.portal.admin.desks import DraftForm, owned
from exchange.portal.admin.papers import Papered, file_of, form_with, read, text_of
from exchange.portal.admin.stepped import DRAFT, step

LATER = {"submitted": "minutes", "approved": "filing"}
"""What the authority adds to a plan in which state (27号): the minutes of the decision, the number of the filing."""


def plans(request: HttpRequest) -> QuerySet[Plan]:
    mine = parties_of(request.user)
    return Plan.objects.filter(Q(authority__in=mine) | Q(body__in=mine))


class Authorizing(Papered):
    """Plans and authorizations."""

    open = staticmethod(authorizing.do_open)
    take = staticmethod(authorizing.do_step)
    may_add_as = (Role.AUTHORITY,)

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.related_model is Plan and not request.user.is_superuser:
            kwargs["queryset"] = plans(request)
        return super().formfield_for_foreignkey(db_field, request, **kwargs)


@admin.register(Plan)
class PlanAdmin(Authorizing):
    """A draft is written by its body; the minutes and the filing number come later, from the authority."""

    party_paths = ("body", "authority")
    names_others = ("authority",)
    changed_by = ("body", "authority")
    edited_in = (DRAFT, *LATER)
    list_display = ("code", "name_zh", "mode", "body", "authority", "state")
    list_filter = ("mode", "state")
    head = ("code", "name_zh", "name_en", "mode", "body", "authority", "replaces")
    readonly_fields = ("state", "texts")
    actions = (
        step("submit", _("Submit")),
        step("send_back", _("Send back")),
        step("approve", _("Approve")),
        step("file", _("File")),
        step("withdraw", _("Withdraw")),
    )

    def own(self, user: User) -> Q:
        """A draft is its body's alone."""
        return owned(("body",), user) | (owned(("authority",), user) & ~Q(state=DRAFT))

    def has_change_permission(self, request: HttpRequest, obj: Plan | None = None) -> bool:
        if obj is None or request.user.is_superuser:
            return super().has_change_permission(request, obj)
        whose = "body" if obj.state == DRAFT else "authority"
        mine = Plan.objects.filter(owned((whose,), request.user), pk=obj.pk)
        return obj.state in self.edited_in and self.has_add_permission(request) and mine.exists()

    def later(self, obj: Plan | None) -> tuple[str, ...]:
        """The fields that are open in this state, once it is no draft."""
        name = LATER.get(obj.state, "") if obj is not None else ""
        return () if not name else (name, file_of(name)) if name == "minutes" else (name,)

    def written(self, request: HttpRequest, obj: Plan | None) -> bool:
        """Whether the whole plan is there to be written, as a draft is to its body."""
        return obj is None or (obj.state == DRAFT and self.has_change_permission(request, obj))

    def get_fieldsets(self, request: HttpRequest, obj: Plan | None = None) -> Any:
        if self.written(request, obj):
            return (
                (None, {"fields": (*self.head, "state")}),
                (_("Items"), {"fields": tuple(map(text_of, PLAN_ITEMS))}),
            )
        later = self.later(obj) if self.has_change_permission(request, obj) else ()
        closed = (name for name in LATER.values() if name not in later)
        return (
            (None, {"fields": (*self.head, "state")}),
            (_("Decision and filing"), {"fields": (*later, *closed)}),
            (_("Items"), {"fields": ("texts",)}),
        )

    def get_readonly_fields(self, request: HttpRequest, obj: Plan | None = None) -> Sequence[str]:
        if self.written(request, obj):
            return self.readonly_fields
        return (*self.head, *(name for name in LATER.values() if name not in self.later(obj)), *self.readonly_fields)

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        if self.written(request, obj):
            kwargs["form"] = form_with(PLAN_ITEMS)
        elif "minutes" in self.later(obj) and self.has_change_permission(request, obj):
            kwargs["form"] = form_with({}, "minutes")
        else:
            kwargs["form"] = DraftForm
        return super().get_form(request, obj, change, **kwargs)

    def _edit(self, thing: Plan, by: User, changed: Sequence[str]) -> None:
        """Raises Problem where the plan has meanwhile gone on, so that what is edited is no longer open."""
        now = Plan.objects.select_for_update(of=("self",)).get(pk=thing.pk)
        if now.state != DRAFT and not by.is_superuser and not set(changed) <= {LATER.get(now.state, "")}:
            raise Problem("step_not_possible", now.get_state_display())
        super()._edit(thing, by, changed)

    @admin.display(description=_("items"))
    def texts(self, plan: Plan) -> SafeString:
        return read(PLAN_ITEMS, plan.items)


@admin.register(Authorization)
class AuthorizationAdmin(Authorizing):
    party_paths = ("authority", "operator")
    names_others = ("operator",)
    changed_by = ("authority",)
    words = ("purposes",)
    list_display = ("code", "name_zh", "mode", "operator", "since", "until", "state")
    list_filter = ("mode", "state")
    readonly_fields = ("state", "published_on", "texts")
    actions = (
        step("submit", _("Submit")),
        step("send_back", _("Send back")),
        step("sign", _("Sign")),
        step("publish", _("Publish")),
        step("suspend", _("Suspend")),
        step("resume", _("Resume")),
        step("end", _("End")),
    )

    def get_fieldsets(self, request: HttpRequest, obj: Model | None = None) -> Any:
        open_ = obj is None or self.has_change_permission(request, obj)
        items = tuple(map(text_of, AGREEMENT_ITEMS)) if open_ else ("texts",)
        papers = ("selected_by", file_of("selected_by"), "agreement", file_of("agreement"))
        return (
            (None, {"fields": ("code", "name_zh", "name_en", "plan", "mode", "authority", "operator", "since", "until",
                               "state", "published_on")}),
            (_("Scope"), {"fields": ("sector", "scenario", "grantee", "purposes", "listed", "excluded")}),
            (_("Revenue sharing"), {"fields": ("holder_share", "platform_share")}),
            (_("Selection and agreement"), {"fields": ("selection", *(papers if open_ else papers[::2]))}),
            (_("Items"), {"fields": items}),
            (_("Rules of the zone"), {"fields": ("rules_zh", "rules_en")}),
        )  # fmt: skip

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        open_ = obj is None or self.has_change_permission(request, obj)
        kwargs["form"] = form_with(AGREEMENT_ITEMS, "selected_by", "agreement") if open_ else DraftForm
        return super().get_form(request, obj, change, **kwargs)

    @admin.display(description=_("items"))
    def texts(self, authorization: Authorization) -> SafeString:
        return read(AGREEMENT_ITEMS, authorization.items)
