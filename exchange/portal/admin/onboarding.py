"""The desks of whoever runs the exchange: applications, parties, what each may be."""

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import F, Model, QuerySet
from django.forms import ModelForm
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin, TabularInline

from exchange.parties import accreditation, acts, applications
from exchange.parties.acts import parties_of
from exchange.parties.models import Accreditation, Application, ApplicationDocument, Party, RequestedRole, User
from exchange.portal.admin.stepped import Stepped, step


def reviews(user: User) -> bool:
    """Whether the person sees what whoever runs the exchange sees."""
    platform = accreditation.platform()
    return user.is_superuser or (platform is not None and parties_of(user).filter(pk=platform.pk).exists())


class Reviewed(Stepped):
    """Seen by whoever runs the exchange, and by the party it is about; moved by steps. Superusers break the glass."""

    whose: ClassVar[str]  # the path to the party it is about

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows = ModelAdmin.get_queryset(self, request)
        return rows if reviews(request.user) else rows.filter(**{f"{self.whose}__in": parties_of(request.user)})

    def has_add_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.is_superuser)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return bool(request.user.is_superuser)


class RolesInline(TabularInline):
    """The roles asked for, one decision each."""

    model = RequestedRole
    extra = 0
    can_delete = False
    hide_title = True
    fields = ("role", "decision", "until", "reason")
    readonly_fields = ("role",)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return True  # who sees the application sees them

    def has_change_permission(self, request: HttpRequest, obj: Application | None = None) -> bool:
        return obj is not None and obj.state == "submitted" and reviews(request.user)

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class PapersInline(TabularInline):
    """What the organization sent."""

    model = ApplicationDocument
    extra = 0
    can_delete = False
    hide_title = True
    fields = readonly_fields = ("what", "file")

    @admin.display(description=_("document"))
    def file(self, paper: ApplicationDocument) -> str:
        link = '<a class="text-primary-600 underline" href="{}">{}</a>'
        return format_html(link, reverse("document", args=[paper.document_id]), paper.document.name)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return True

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


@admin.register(Application)
class ApplicationAdmin(Reviewed):
    """The reviewer's work list; what came first stands on top. A clerk notes decisions, an approver accredits."""

    take = staticmethod(applications.do_step)
    whose = "party"
    edited_in = ("submitted",)
    list_display = ("name_zh", "credit_code", "contact", "made_at", "state")
    list_filter = ("state",)
    search_fields = ("name_zh", "name_en", "credit_code")
    ordering = (F("moved_at").asc(),)
    fields = readonly_fields = (
        "state", "name_zh", "name_en", "credit_code", "party", "contact", "email", "phone", "made_at", "moved_at",
        "answer",
    )  # fmt: skip
    inlines = (RolesInline, PapersInline)
    actions = (
        step("ask", _("Ask for more material")),
        step("accredit", _("Accredit")),
        step("decline", _("Decline the application")),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """What nobody confirmed is nobody's to see."""
        return super().get_queryset(request).exclude(state="applied")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Application | None = None) -> bool:
        return reviews(request.user) and (obj is None or obj.state in self.edited_in)

    def save_related(self, request: HttpRequest, form: ModelForm, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        acts.record(form.instance, "application.decided", request.user)


@admin.register(Party)
class PartyAdmin(Reviewed):
    open = staticmethod(accreditation.do_make)
    take = staticmethod(accreditation.do_party_step)
    whose = "pk"
    list_display = ("name_zh", "name_en", "credit_code", "state")
    list_filter = ("state",)
    search_fields = ("name_zh", "name_en", "credit_code")
    fields = ("name_zh", "name_en", "credit_code", "state")
    readonly_fields = ("state",)
    actions = (step("suspend", _("Suspend")), step("resume", _("Resume")))


@admin.register(Accreditation)
class AccreditationAdmin(Reviewed):
    open = staticmethod(accreditation.do_make)
    take = staticmethod(accreditation.do_step)
    whose = "party"
    list_display = ("party", "role", "since", "until", "state")
    list_filter = ("role", "state")
    list_select_related = ("party",)
    fields = ("party", "role", "since", "until", "state")
    readonly_fields = ("state",)
    actions = (step("end", _("End")),)
