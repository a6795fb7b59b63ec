"""The desks of registrants and registrars: applications, objections, the calendar."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db import transaction
from django.db.models import F, Model
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin, TabularInline
from unfold.widgets import UnfoldAdminFileFieldWidget, UnfoldAdminTextareaWidget

from catalog import registration
from catalog.models import (
    Objection,
    Product,
    Registration,
    RegistrationItem,
    Resource,
)
from exchange.errors import Problem
from exchange.parties import acts, days, documents
from exchange.parties.accreditation import accredited
from exchange.parties.acts import parties_of
from exchange.parties.models import Day, Role
from exchange.portal.admin.stepped import DueFilter, Stepped, step
from exchange.portal.texts import told


class ItemForm(forms.ModelForm):
    """An item with a file to take in."""

    file = forms.FileField(label=_("document"), required=False, widget=UnfoldAdminFileFieldWidget)

    class Meta:
        model = RegistrationItem
        fields = ("what", "text")
        widgets = {"text": UnfoldAdminTextareaWidget(attrs={"rows": 2})}

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


class ItemsInline(TabularInline):
    model = RegistrationItem
    form = ItemForm
    extra = 0
    max_num = len(RegistrationItem.What)
    readonly_fields = ("document",)

    def get_fields(self, request: HttpRequest, obj: Registration | None = None) -> tuple[str, ...]:
        """A file can be given while the item can be changed."""
        return ("what", "text", *(("file",) if self.has_change_permission(request, obj) else ()), "document")

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
    list_filter = ("state", "kind", DueFilter)
    list_select_related = ("resource", "product", "registrant")
    ordering = (F("due_on").asc(nulls_last=True), "-id")
    readonly_fields = ("state", "due_on", "code", "since", "until", "looks_like")
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
                kwargs["queryset"] = accredited(Role.REGISTRAR)
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    @admin.display(description=_("looks like"))
    def looks_like(self, made: Registration) -> str:
        """What is registered already and looks alike, as found when it was submitted."""
        said = {"name": _("names alike"), "columns": _("columns alike")}
        found = (", ".join(f"{said[why]} {share} %" for why, share in whys.items()) for whys in made.alike.values())
        return "; ".join(f"{code} ({why})" for code, why in zip(made.alike, found, strict=True)) or "–"

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
    list_select_related = ("registration__resource", "registration__product")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    actions = (step("uphold", _("Uphold")), step("dismiss", _("Dismiss")))


@admin.register(Day)
class DayAdmin(ModelAdmin):
    """Days that are worked or not against the week; who registers may look and add, nothing is deleted."""

    list_display = ("day", "name", "worked", "provisional", "edited")
    list_filter = ("worked", "provisional")
    date_hierarchy = "day"
    fields = ("day", "worked", "name")

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        return ("day",) if obj else ()  # another day is another row

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return bool(request.user.is_active and request.user.is_staff)

    has_module_permission = has_view_permission

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.is_superuser or (parties_of(request.user) & accredited(Role.REGISTRAR)).exists()

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self.has_add_permission(request)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: Day, form: forms.ModelForm, change: bool) -> None:
        with transaction.atomic():
            days.do_edit(obj, actor=str(request.user.pk))
            acts.reset_clocks()
