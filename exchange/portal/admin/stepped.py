"""Desks for things with a machine: what state they are in, what is due, the steps one may take, and their history."""

from collections.abc import Sequence
from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.db.models import Model, Q, QuerySet
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from unfold.forms import ActionForm
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from exchange.errors import Problem
from exchange.parties import acts, days
from exchange.parties.acts import MOST_REASON, By, Places
from exchange.parties.models import User
from exchange.parties.stateful import Stateful
from exchange.portal.admin.desks import OwnObjects, Refused, own_fields, owned
from exchange.portal.persons import person, to_second_factor
from exchange.portal.texts import told
from exchange.steps import Step

DRAFT = "draft"
SOON = 3  # working days


class WithReason(ActionForm):
    """Beside the choice of a step, its reason."""

    reason = forms.CharField(
        label="",
        max_length=MOST_REASON,
        required=False,
        widget=UnfoldAdminTextInputWidget({"placeholder": _("reason")}),
    )


class StepForm(forms.Form):
    """What a step wants to know."""

    reason = forms.CharField(
        label=_("reason"), max_length=MOST_REASON, required=False, widget=UnfoldAdminTextareaWidget({"rows": 4})
    )


class DueFilter(admin.SimpleListFilter):
    """By what is due: overdue, within three working days, later."""

    title, parameter_name = _("due"), "due"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("over", _("overdue")), ("soon", _("due in 3 days")), ("later", _("due later"))]

    def queryset(self, request: HttpRequest, rows: QuerySet[Any]) -> QuerySet[Any]:
        today = timezone.localdate()
        soon = days.calendar().end(today, SOON)
        by = {"over": {"due_on__lt": today}, "soon": {"due_on__range": (today, soon)}, "later": {"due_on__gt": soon}}
        return rows.filter(**by.get(self.value() or "", {}))


class Stepped(OwnObjects):
    """Things with a machine: opened as a draft, edited until they are submitted, and moved by steps with reasons."""

    action_form = WithReason
    change_form_outer_before_template = "portal/desk/life.html"
    edited_in: ClassVar[tuple[str, ...]] = ("draft",)
    readonly_fields: ClassVar[Sequence[str]] = ("state", "due_on")

    @staticmethod
    def open(thing: Any, by: User) -> Any:
        raise NotImplementedError

    @staticmethod
    def take(thing: Any, name: str, by: By, reason: str) -> Any:
        raise NotImplementedError

    def steps(self, thing: Stateful, places: Places) -> list[tuple[Step, Any]]:
        """The steps that this person may take now, with their names for people."""
        named = self.labels()
        return [(each, named[each.name]) for each in thing.machine.open(thing.state)
                if each.name in named and places.may(thing, each)]  # fmt: skip

    def own(self, user: User) -> Q:
        """A draft is its author's alone; what was submitted is also for whom it names."""
        return owned(self.changed_by, user) | (super().own(user) & ~Q(state=DRAFT))

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        editable = obj is None or obj.state in self.edited_in or request.user.is_superuser
        return editable and super().has_change_permission(request, obj)

    def save_model(self, request: HttpRequest, obj: Any, form: ModelForm, change: bool) -> None:
        """Raises Refused, which the form says beside what was typed; then nothing is saved."""
        try:
            if change:
                self._edit(obj, request.user, form.changed_data)
            else:
                self.open(obj, request.user)
        except Problem as problem:
            raise Refused(told(problem)) from None

    def _edit(self, thing: Any, by: User, changed: Sequence[str]) -> None:
        """Save what was edited, and no more: another may have taken a step since the form was read."""
        now = self.model._default_manager.select_for_update(of=("self",)).get(pk=thing.pk)
        if now.state not in self.edited_in and not by.is_superuser:
            raise Problem("step_not_possible", now.get_state_display())
        thing.save(update_fields=own_fields(thing).intersection(changed))
        acts.record(thing, f"{thing.machine.name}.edited", by, fields=sorted(changed))

    def changeform_view(self, request: HttpRequest, object_id: str | None = None, form_url: str = "",
                        extra_context: dict[str, Any] | None = None) -> HttpResponse:  # fmt: skip
        thing = self.get_object(request, unquote(object_id)) if object_id else None
        if thing is not None:
            extra_context = {**(extra_context or {}), "life": self._life(request, thing)}
        return super().changeform_view(request, object_id, form_url, extra_context)

    def _life(self, request: HttpRequest, thing: Any) -> dict[str, Any]:
        left = days.calendar().left(timezone.localdate(), thing.due_on) if thing.due_on else None
        steps = [
            (label, reverse(f"admin:{self._url}_step", args=[thing.pk, each.name]), each.reason)
            for each, label in self.steps(thing, Places.of(request.user))
        ]
        return {"state": thing.get_state_display(), "due": thing.due_on, "left": left, "soon": SOON, "steps": steps,
                "history": reverse(f"admin:{self._url}_history", args=[thing.pk])}  # fmt: skip

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.step_view)
        return [path("<path:object_id>/step/<slug:name>/", view, name=f"{self._url}_step"), *super().get_urls()]

    def step_view(self, request: HttpRequest, object_id: str, name: str) -> HttpResponse:
        """A step's page: what it is by the rules, its reason, and a button."""
        thing = self.get_object(request, unquote(object_id))
        if thing is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)
        there = reverse(f"admin:{self._url}_change", args=[thing.pk])
        found = {each.name: (each, label) for each, label in self.steps(thing, Places.of(request.user))}
        if name not in found:
            self.message_user(request, told(Problem("step_not_possible")), messages.ERROR)
            return redirect(there)
        form = StepForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            try:
                thing = self.take(thing, name, person(request), form.cleaned_data["reason"])
            except Problem as problem:
                if problem.code == "second_factor_missing":
                    return to_second_factor(request)
                form.add_error(None, told(problem))
            else:
                self.message_user(request, f"{thing}: {thing.get_state_display()}", messages.SUCCESS)
                return redirect(there)
        step, label = found[name]
        page = {**self.admin_site.each_context(request), "opts": self.opts, "title": label, "thing": thing,
                "step": step, "form": form, "there": there}  # fmt: skip
        return TemplateResponse(request, "portal/desk/step.html", page, status=400 if form.errors else 200)

    @property
    def _url(self) -> str:
        return f"{self.opts.app_label}_{self.opts.model_name}"


def step(name: str, label: Any) -> Any:
    """An admin action that takes a step; who may is for the machine to say."""

    @admin.action(description=label)
    def act(model_admin: Stepped, request: HttpRequest, rows: QuerySet[Any]) -> HttpResponse | None:
        for row in rows:
            try:
                row = model_admin.take(row, name, person(request), request.POST.get("reason", ""))
            except Problem as problem:
                model_admin.message_user(request, f"{row}: {told(problem)}", messages.ERROR)
                if problem.code == "second_factor_missing":
                    return to_second_factor(request)
            else:
                model_admin.message_user(request, f"{row}: {row.get_state_display()}", messages.SUCCESS)
        return None

    act.__name__ = f"step_{name}"
    act.step = name
    return act
