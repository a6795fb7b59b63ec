"""Parties, people and their papers; and, for breaking glass, the evidence."""

from django.contrib import admin, messages
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from catalog.models import (
    Domain,
)
from exchange.audit.models import Checkpoint, Record
from exchange.errors import Problem
from exchange.parties import second_factor
from exchange.parties.models import Client, Document, Membership, Notice, User
from exchange.portal.admin.desks import ReadOnly
from exchange.portal.admin.glass import ForBreakingGlass
from exchange.portal.persons import person, to_second_factor
from exchange.portal.texts import told
from settlement.models import Account

# Tokens and grants are nobody's to look at; clients have a desk of ours.
admin.site.unregister([model for model in list(admin.site._registry) if model._meta.app_label == "oauth2_provider"])
admin.site.unregister([Client, Group])


@admin.register(Notice)
class NoticeAdmin(ReadOnly):
    party_paths = ("party",)
    list_display = ("made_at", "party", "kind", "text_zh", "text_en")


@admin.register(Client)
class ClientAdmin(ReadOnly):
    party_paths = ("party",)
    list_display = ("name", "party", "client_id")
    fields = ("name", "party", "client_id")


@admin.register(Document)
class DocumentAdmin(ReadOnly):
    party_paths = ("party",)
    list_display = ("name", "party", "media_type", "size", "added_at")
    fields = ("name", "party", "media_type", "size", "added_at")


class Evidence(ForBreakingGlass):
    """Superusers may look at evidence, nobody may edit it."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


@admin.register(Record)
class RecordAdmin(Evidence):
    list_display = ("time", "kind", "licence", "seq")
    list_filter = ("kind",)


@admin.register(Checkpoint)
class CheckpointAdmin(Evidence):
    list_display = ("size", "time")


@admin.register(User)
class PeopleAdmin(UserAdmin, ForBreakingGlass):
    form, add_form, change_password_form = UserChangeForm, UserCreationForm, AdminPasswordChangeForm
    actions = ("reset_second_factor",)

    @admin.action(description=_("Reset the second factor"))
    def reset_second_factor(self, request: HttpRequest, rows: QuerySet[User]) -> HttpResponse | None:
        for user in rows:
            try:
                second_factor.do_reset(user, person(request))
            except Problem as problem:
                self.message_user(request, f"{user}: {told(problem)}", messages.ERROR)
                if problem.code == "second_factor_missing":
                    return to_second_factor(request)
            else:
                self.message_user(request, f"{user}: {_('The second factor is reset.')}", messages.SUCCESS)
        return None


@admin.register(Group)
class GroupDesk(GroupAdmin, ModelAdmin):
    """Django's groups hold nothing of ours."""


admin.site.register([Membership, Domain, Account], ForBreakingGlass)
