"""The desks of products: what is offered, and its versions from composing to release."""

from collections.abc import Iterable
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.contrib.admin.widgets import RelatedFieldWidgetWrapper
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext_lazy as _
from unfold.admin import TabularInline

from catalog import versions
from catalog.composition import TERMS
from catalog.models import Product, Version, products
from exchange.errors import Problem
from exchange.parties.acts import By
from exchange.parties.models import Role, User
from exchange.portal.admin import composing, reviewing
from exchange.portal.admin.desks import DraftForm, OwnObjects, Refused, owned
from exchange.portal.admin.stepped import Stepped, step
from exchange.portal.admin.tables import Exported, ProductTable
from exchange.portal.persons import person
from exchange.portal.texts import told
from licensing import succession
from settlement import samples

REVIEWERS = tuple(f"product__{path}" for path in products.REVIEWERS)


class VersionsInline(TabularInline):
    """A product's versions; its live one is what buyers ask."""

    model = Version
    extra = 0
    can_delete = False
    show_change_link = True
    fields = readonly_fields = ("number", "state", "note", "profile", "columns")

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return True

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    has_change_permission = has_add_permission

    def get_queryset(self, request: HttpRequest) -> QuerySet[Version]:
        rows = super().get_queryset(request)
        return rows if request.user.is_superuser else rows.filter(versions_of(request.user))


@admin.register(Product)
class ProductAdmin(Exported, Stepped):
    """What is offered. Nothing is edited here: a product's terms are those of its live version."""

    resource_classes = (ProductTable,)

    take = staticmethod(versions.do_product_step)
    party_paths = ("merchant",)
    list_display = ("code", "name_zh", "name_en", "merchant", "resource", "profile", "use", "version", "state")
    list_filter = ("state", "profile", "use")
    search_fields = ("code", "name_zh", "name_en")
    list_select_related = ("merchant", "resource", "authorization__plan")
    fields = (*composing.LINE, "version", "state", *TERMS)
    readonly_fields = fields
    inlines = (VersionsInline,)
    actions = (
        step("list", _("List")),
        step("suspend", _("Suspend")),
        step("resume", _("Resume")),
        step("delist", _("Delist")),
        "revise",
    )

    def has_add_permission(self, request: HttpRequest) -> bool:
        """A product begins with its first version."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def own(self, user: User) -> Q:
        """A merchant's own, and for who reviews them those of which a version was submitted."""
        theirs = Version.objects.filter(versions_of(user)).values("product")
        return owned(self.party_paths, user) | Q(pk__in=theirs)

    @admin.action(description=_("Compose the next version"))
    def revise(self, request: HttpRequest, rows: QuerySet[Product]) -> HttpResponse | None:
        for product in rows:
            try:
                draft = versions.do_revise(product, request.user)
            except Problem as problem:
                self.message_user(request, f"{product}: {told(problem)}", messages.ERROR)
            else:
                return redirect(reverse("admin:catalog_version_change", args=[draft.pk]))
        return None


def take(version: Version, name: str, by: By, reason: str) -> Version:
    """A step at the desk: buyers are told of a release, and of the end of what is live."""
    match name:
        case "release":
            return succession.do_release(version, by)
        case "withdraw":
            return succession.do_withdraw(version, by, reason)
        case _:
            return versions.do_step(version, name, by, reason)


@admin.action(description=_("Ask the sample questions"))
def ask_samples(desk: "VersionAdmin", request: HttpRequest, rows: Iterable[Version]) -> None:
    for version in rows:
        try:
            found = samples.do_ask(version, person(request))
        except Problem as problem:
            desk.message_user(request, f"{version}: {told(problem)}", messages.ERROR)
            continue
        delivered = sum(each.delivered for each in found)
        said = _("%(delivered)d of %(asked)d sample answers") % {"delivered": delivered, "asked": len(found)}
        desk.message_user(request, f"{version}: {said}", messages.SUCCESS if delivered else messages.WARNING)


@admin.register(Version)
class VersionAdmin(Stepped):
    """Composed by the merchant, reviewed on sample answers, released; then it is frozen, for everyone."""

    take = staticmethod(take)
    form = composing.Composing
    change_form_template = "portal/version_form.html"
    party_paths = ("product__merchant", *REVIEWERS)
    may_add_as = (Role.MERCHANT,)
    changed_by = ("product__merchant",)
    edited_in = versions.EDITED_IN
    list_display = ("product", "number", "use", "resource", "profile", "state", "submitted_by")
    list_filter = ("state", "profile", "use")
    search_fields = ("product__code", "product__name_zh", "product__name_en")
    ordering = ("-id",)
    list_select_related = ("product__authorization__plan", "resource", "submitted_by")
    readonly_fields = ()
    actions = (
        step("submit", _("Submit")),
        ask_samples,
        step("approve", _("Approve")),
        step("send_back", _("Send back")),
        step("release", _("Release")),
        step("withdraw", _("Withdraw")),
    )

    class Media:
        css = {"all": ("portal/composing.css",)}
        js = ("portal/composing.js",)

    def own(self, user: User) -> Q:
        return versions_of(user)

    def has_change_permission(self, request: HttpRequest, obj: Version | None = None) -> bool:
        """What was submitted is frozen, for whoever breaks the glass too."""
        return (obj is None or obj.state in self.edited_in) and OwnObjects.has_change_permission(self, request, obj)

    def get_fieldsets(self, request: HttpRequest, obj: Version | None = None) -> Any:
        if obj is not None and not self.has_change_permission(request, obj):
            return ((None, {"fields": ("product", "number", "state", *TERMS, "bases", "note", "unsampled")}),)
        return (
            (_("Product"), {"fields": composing.LINE}),
            (_("What may be asked"), {"fields": ("resource", *composing.COLUMNS)}),
            (_("Disclosure control"), {"fields": ("profile", "threshold", "rows", "rho")}),
            (_("Terms"), {"fields": ("use", "merchant_share", "bases", "note")}),
        )

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        """The composing form where it may be edited; what is frozen is read by another."""
        if obj is not None and not self.has_change_permission(request, obj):
            kwargs["form"] = DraftForm
        form = super().get_form(request, obj, change, **kwargs)
        form.user = request.user
        return form

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Without links to other desks: what may be chosen follows from the choices above."""
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if field is not None and isinstance(field.widget, RelatedFieldWidgetWrapper):
            field.widget = field.widget.widget
        return field

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> Any:
        form, version = context["adminform"].form, kwargs.get("obj")
        context["composing"] = isinstance(form, composing.Composing)
        if context["composing"]:
            context["preview"] = form.preview()
        elif version is not None:
            context["preview"] = reviewing.preview_of(version)
        if version is not None:
            context |= reviewing.review_of(version, request.user)
        return super().render_change_form(request, context, *args, **kwargs)

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.samples_view)
        return [path("<path:object_id>/samples/", view, name="catalog_version_samples"), *super().get_urls()]

    def samples_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask the sample questions, by the button beside them."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        version = self.get_object(request, unquote(object_id))
        if version is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)
        ask_samples(self, request, [version])
        return redirect(reverse("admin:catalog_version_change", args=[version.pk]))

    def save_model(self, request: HttpRequest, obj: Version, form: composing.Composing, change: bool) -> None:
        """Raises Refused where the version may not be edited any more, or the code is taken."""
        said = form.cleaned_data
        try:
            if change:
                for name in form.changed_line:
                    setattr(obj.product, name, said[name])
                versions.do_edit(obj, request.user, form.changed_own, form.changed_line)
            else:
                product = Product(**{name: said[name] for name in composing.LINE})
                versions.do_compose(product, obj, request.user)
        except Problem as problem:
            raise Refused(told(problem)) from None


def versions_of(user: User) -> Q:
    """A merchant's own, and for those who review them what is no draft; a draft is nobody else's to see."""
    return owned(("product__merchant",), user) | (owned(REVIEWERS, user) & ~Q(state=Version.State.DRAFT))
