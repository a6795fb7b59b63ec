"""Catalogs in and out as Excel and CSV: a dry run reports every bad row, and then all rows are taken or none.

Rows go the way a form goes: a party's own objects only, checked as a form checks them, saved through the registry.
"""

import re
import time
from pathlib import Path
from typing import Any, ClassVar
from uuid import uuid4

from django.conf import settings
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db.models import Model, QuerySet
from django.forms import FileField
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from import_export import fields
from import_export.admin import ExportMixin, ImportExportMixin
from import_export.formats.base_formats import CSV, XLSX
from import_export.resources import ModelResource
from import_export.results import Result
from import_export.tmp_storages import BaseStorage
from import_export.widgets import ForeignKeyWidget
from tablib import Dataset
from unfold.contrib.import_export.forms import ExportForm, ImportForm

from catalog import registry
from catalog.models import DataItem, Domain, Product, Resource
from exchange.errors import Problem
from exchange.parties.acts import parties_of
from exchange.parties.models import Party, User
from exchange.portal.texts import told

MOST_ROWS = 5_000
MOST_BYTES = 5_000_000
KEPT_SECONDS = 3_600  # between the dry run and its confirmation


class Known(ForeignKeyWidget):
    """Something that is there already, by its code."""

    def clean(self, value: Any, row: Any = None, **kwargs: Any) -> Any:
        """Raises ValueError, which is reported with the row as every other fault is."""
        try:
            return super().clean(value, row, **kwargs)
        except self.model.DoesNotExist:
            raise ValueError(_("There is none with this code that you may name: %(code)s") % {"code": value}) from None


class OwnParty(Known):
    """A party by its credit code; one of the person's own."""

    def __init__(self) -> None:
        super().__init__(Party, "credit_code")

    def get_queryset(self, value: Any, row: Any, *args: Any, user: User, **kwargs: Any) -> QuerySet[Party]:
        return Party.objects.all() if user.is_superuser else parties_of(user)


class Table(ModelResource):
    """Rows of one model, known by their code, of the parties at `party`."""

    party: ClassVar[str]

    def __init__(self, user: User | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.user = user

    def get_queryset(self) -> QuerySet[Any]:
        rows = super().get_queryset()
        if self.user is None or self.user.is_superuser:
            return rows
        return rows.filter(**{f"{self.party}__in": parties_of(self.user)})

    def before_import(self, dataset: Dataset, **kwargs: Any) -> None:
        if len(dataset) > MOST_ROWS:
            raise ValidationError(_("More rows than are taken at once: %(most)s.") % {"most": MOST_ROWS})

    def do_instance_save(self, instance: Any, is_create: bool) -> None:
        """Raises ValidationError with what the registry refused, in the reader's language."""
        actor = str(self.user.pk) if self.user else ""
        try:
            if is_create:
                registry.do_create(instance, actor)
            else:
                registry.do_change(instance, actor, self._changed(instance))
        except Problem as problem:
            raise ValidationError(told(problem)) from None

    def _changed(self, instance: Model) -> list[str]:
        before = type(instance)._default_manager.get(pk=instance.pk)
        names = [field.attribute for field in self.get_import_fields()]
        return [name for name in names if getattr(before, name) != getattr(instance, name)]


class Rules:
    """What holds for every table."""

    import_id_fields = ("code",)
    use_transactions = True
    clean_model_instances = True
    skip_unchanged = True
    report_skipped = True


class ResourceTable(Table):
    party = "holder"
    holder = fields.Field("holder", "holder", widget=OwnParty())
    domain = fields.Field("domain", "domain", widget=Known(Domain, "code"))

    class Meta(Rules):
        model = Resource
        fields = ("code", "name_zh", "name_en", "holder", "domain", "sector", "data_class", "frequency",
                  "description_zh", "description_en")  # fmt: skip


class DataItemTable(Table):
    party = "registrar"
    registrar = fields.Field("registrar", "registrar", widget=OwnParty())

    class Meta(Rules):
        model = DataItem
        fields = ("code", "name_zh", "name_en", "registrar", "description_zh", "description_en")


class ProductTable(Table):
    """Out only: a product is composed, not imported."""

    party = "merchant"
    resource = fields.Field("resource", "resource", widget=Known(Resource, "code"))
    merchant = fields.Field("merchant", "merchant", widget=Known(Party, "credit_code"))

    class Meta(Rules):
        model = Product
        fields = ("code", "name_zh", "name_en", "kind", "use", "merchant", "resource", "profile", "state",
                  "description_zh", "description_en")  # fmt: skip


class Kept(BaseStorage):
    """The file between its dry run and its confirmation: in a folder of ours, under a name nobody guesses."""

    NAME = re.compile(r"[0-9a-f]{32}")

    def save(self, data: bytes) -> None:
        folder = self._folder()
        for old in folder.iterdir():
            if time.time() - old.stat().st_mtime > KEPT_SECONDS:
                old.unlink(missing_ok=True)
        self.name = uuid4().hex
        (folder / self.name).write_bytes(data)

    def read(self) -> str | bytes:
        data = self._path().read_bytes()
        return data if "b" in self.read_mode else data.decode(self.encoding or "utf-8")

    def remove(self) -> None:
        self._path().unlink(missing_ok=True)

    def _path(self) -> Path:
        if not self.NAME.fullmatch(self.name or ""):
            raise FileNotFoundError(self.name)
        return self._folder() / self.name

    @staticmethod
    def _folder() -> Path:
        folder = Path(settings.VAR) / "imports"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder


class SmallFile(ImportForm):
    """A file of bounded size."""

    def clean_import_file(self) -> Any:
        file = self.cleaned_data["import_file"]
        if file.size > MOST_BYTES:
            raise ValidationError(FileField.default_error_messages["max_length"], code="max_length", params={
                "max": MOST_BYTES, "length": file.size})  # fmt: skip
        return file


class Exported(ExportMixin):
    """A list that can be taken out as Excel or CSV: the rows its reader sees."""

    formats = (XLSX, CSV)
    export_form_class = ExportForm
    skip_admin_log = True

    def has_export_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)  # type: ignore[attr-defined]

    def get_export_resource_kwargs(self, request: HttpRequest, **kwargs: Any) -> dict[str, Any]:
        return {"user": request.user}


class Imported(Exported, ImportExportMixin):
    """A list that can also be taken in."""

    import_form_class = SmallFile
    import_error_display = ("message", "row")

    def get_tmp_storage_class(self) -> type[BaseStorage]:
        return Kept

    def has_import_permission(self, request: HttpRequest) -> bool:
        return self.has_add_permission(request)  # type: ignore[attr-defined]

    def get_import_resource_kwargs(self, request: HttpRequest, **kwargs: Any) -> dict[str, Any]:
        return {"user": request.user}

    def get_import_data_kwargs(self, **kwargs: Any) -> dict[str, Any]:
        """All rows or none, also where something has changed since the dry run."""
        return {"rollback_on_validation_errors": True}

    def process_import(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        try:
            return super().process_import(request, **kwargs)
        except FileNotFoundError:
            self.message_user(request, _("The file is no longer there: give it again."), messages.ERROR)  # type: ignore[attr-defined]
            return redirect(reverse(f"admin:{'_'.join(self.get_model_info())}_import"))

    def process_result(self, result: Result, request: HttpRequest) -> HttpResponse:
        if not (result.has_errors() or result.has_validation_errors()):
            return super().process_result(result, request)
        text = _("Something has changed since the check, and no row was taken: check the file again.")
        self.message_user(request, text, messages.ERROR)  # type: ignore[attr-defined]
        return redirect(reverse(f"admin:{'_'.join(self.get_model_info())}_import"))
