"""What every desk of the admin has in common: people see the objects of their own parties, and more only where
guardian shares it. No rule lives here: what changes anything is a registry's.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Model, Q, QuerySet
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _
from guardian.shortcuts import get_objects_for_user
from unfold.admin import ModelAdmin

from catalog import registry as catalog_registry
from exchange.errors import Problem
from exchange.parties.accreditation import roles_of
from exchange.parties.acts import parties_of
from exchange.parties.models import Document, User
from exchange.portal.admin import history
from exchange.portal.admin.words import Words
from exchange.portal.texts import told


class Refused(Exception):
    """A registry refused what a form says; the text is for the person."""


class DraftForm(ModelForm):
    """A form that says what a registry refused."""

    refused = ""

    def clean(self) -> dict[str, Any] | None:
        if self.refused:
            raise forms.ValidationError(self.refused)
        return super().clean()


class OwnObjects(ModelAdmin):
    """Rows are found by their party column; guardian's shares come on top. Nothing is ever deleted."""

    form = DraftForm
    party_paths: ClassVar[tuple[str, ...]] = ()
    may_add_as: ClassVar[tuple[str, ...]] = ()  # roles whose members may add
    names_others: ClassVar[tuple[str, ...]] = ()  # of party_paths, those that name another's party
    words: ClassVar[tuple[str, ...]] = ()  # fields that are lists of words
    changed_by: ClassVar[tuple[str, ...]] = ()  # paths to the party whose members may change; seeing is not changing

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows = super().get_queryset(request)
        user = request.user
        if user.is_superuser:
            return rows
        shared = get_objects_for_user(user, f"{self.opts.app_label}.view_{self.opts.model_name}", self.model)
        return rows.filter(self.own(user) | Q(pk__in=shared.values("pk"))).distinct()

    def own(self, user: User) -> Q:
        """The rows that are this person's to see."""
        return owned(self.party_paths, user)

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
        """Whoever adds an object for a party adds it for a party of their own, with documents of their own."""
        if not request.user.is_superuser:
            if db_field.name in self.party_paths and db_field.name not in self.names_others:
                kwargs["queryset"] = parties_of(request.user)
            elif db_field.related_model is Document:
                kwargs["queryset"] = Document.objects.filter(party__in=parties_of(request.user))
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Lists of words are written with commas between them, not as JSON."""
        if db_field.name not in self.words:
            return super().formfield_for_dbfield(db_field, request, **kwargs)
        help_text = _("Several with commas between them.")
        return Words(label=capfirst(db_field.verbose_name), required=not db_field.blank, help_text=help_text)

    def get_form(self, request: HttpRequest, *args: Any, **kwargs: Any) -> type[ModelForm]:
        form = super().get_form(request, *args, **kwargs)
        form.refused = getattr(request, "refused", "")
        return form

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """All or nothing; what was refused is shown with what was typed."""
        try:
            with transaction.atomic():
                return super().changeform_view(request, *args, **kwargs)
        except Refused as refused:
            request.refused = str(refused)
            return super().changeform_view(request, *args, **kwargs)

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """What the log says of it, to whoever may see it."""
        thing = self.get_object(request, unquote(object_id))
        if thing is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)
        if not self.has_view_permission(request, thing):
            raise PermissionDenied
        page = {**self.admin_site.each_context(request), "opts": self.opts, "title": str(thing), "thing": thing,
                "records": history.of(thing, request.user, self.labels())}  # fmt: skip
        return TemplateResponse(request, "portal/desk/history.html", page)

    def labels(self) -> dict[str, Any]:
        """Names for people of what may be done here, by the last part of its records' kinds."""
        return {name: act.short_description for act in self.actions or () if (name := getattr(act, "step", ""))}

    @staticmethod
    def _acts_as(request: HttpRequest, roles: Sequence[str]) -> bool:
        """Every page asks this of every desk, so a request finds the person's roles once."""
        if not hasattr(request, "roles"):
            request.roles = roles_of(request.user)
        return not request.roles.isdisjoint(roles)


class Registered(OwnObjects):
    """Objects whose changes go through a registry."""

    registry: ClassVar[Any] = catalog_registry

    def save_model(self, request: HttpRequest, obj: Any, form: ModelForm, change: bool) -> None:
        """Raises Refused."""
        try:
            if change:
                self._change(obj, str(request.user.pk), form.changed_data)
            else:
                self.registry.do_create(obj, str(request.user.pk))
        except Problem as problem:
            raise Refused(told(problem)) from None

    def _change(self, thing: Any, actor: str, changed: Sequence[str]) -> None:
        if own := own_fields(thing).intersection(changed):
            self.registry.do_change(thing, actor, sorted(own))

    def move(self, request: HttpRequest, rows: QuerySet[Any], to: str) -> None:
        for row in rows:
            try:
                self.registry.do_transition(row, to, str(request.user.pk))
            except Problem as problem:
                self.message_user(request, f"{row}: {told(problem)}", messages.ERROR)
            else:
                self.message_user(request, f"{row}: {row.get_state_display()}", messages.SUCCESS)


def transition(to: str, label: Any, paths: tuple[str, ...]) -> Any:
    """An admin action that moves the selected rows to a state, for members of the parties that `paths` name."""

    @admin.action(description=label)
    def act(model_admin: Registered, request: HttpRequest, rows: QuerySet[Any]) -> None:
        theirs = rows if request.user.is_superuser else rows.filter(owned(paths, request.user))
        for row in rows.exclude(pk__in=theirs.values("pk")):
            model_admin.message_user(request, f"{row}: {_('Your party may not do this.')}", messages.ERROR)
        model_admin.move(request, theirs, to)

    act.__name__ = f"to_{to}"
    act.step = to
    return act


def own_fields(thing: Model) -> set[str]:
    """The names of its fields that are columns of its own row."""
    return {field.name for field in thing._meta.concrete_fields}


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
