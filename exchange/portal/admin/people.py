"""Parties, people and their papers; and, for breaking glass, the evidence."""

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group
from django.db.models import Model
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from catalog.models import (
    Domain,
)
from exchange.audit.models import Checkpoint, Record
from exchange.parties.models import Accreditation, Client, Document, Membership, Notice, Party, User
from exchange.portal.admin.desks import ReadOnly
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


class ForOperatorsOfTheExchange(ModelAdmin):
    """For breaking glass: superusers only, and nothing is deleted."""

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class Evidence(ForOperatorsOfTheExchange):
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
class PeopleAdmin(UserAdmin, ForOperatorsOfTheExchange):
    form, add_form, change_password_form = UserChangeForm, UserCreationForm, AdminPasswordChangeForm


@admin.register(Group)
class GroupDesk(GroupAdmin, ModelAdmin):
    """Django's groups hold nothing of ours."""


admin.site.register([Party, Membership, Accreditation, Domain, Account], ForOperatorsOfTheExchange)
