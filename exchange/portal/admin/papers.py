"""Forms whose items are a text each, and whose documents are files to take in."""

from collections.abc import Mapping
from functools import cached_property, reduce
from typing import Any, ClassVar

from django import forms
from django.db.models import Model
from django.forms import ModelForm
from django.http import HttpRequest
from django.utils.functional import lazy
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminFileFieldWidget, UnfoldAdminTextareaWidget

from exchange.errors import Problem
from exchange.parties import documents
from exchange.parties.acts import parties_of
from exchange.parties.models import Party, User
from exchange.portal.admin.desks import DraftForm
from exchange.portal.admin.stepped import Stepped
from exchange.portal.texts import english, told

Items = Mapping[str, tuple[str, str]]  # the key of an item: what it is called in Chinese and in English
MOST_TEXT = 20_000


class PaperForm(DraftForm):
    """A form on which the document `x` may be given as the file `x_file`; keeping it is the desk's."""

    papers: ClassVar[tuple[str, ...]] = ()

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        for name in map(file_of, self.papers):
            try:
                if file := cleaned.get(name):
                    documents.check(file)
            except Problem as problem:
                self.add_error(name, told(problem))
        return cleaned

    @cached_property
    def changed_data(self) -> list[str]:
        """By the names of the fields that are saved."""
        return list(dict.fromkeys(self.saved_as(name) for name in super().changed_data))

    def saved_as(self, name: str) -> str:
        return next((paper for paper in self.papers if name == file_of(paper)), name)


class ItemsForm(PaperForm):
    """A form with one text for each item of a plan or an agreement."""

    wanted: ClassVar[Items] = {}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for key in self.wanted:
            self.initial[text_of(key)] = self.instance.items.get(key, "")

    def clean(self) -> dict[str, Any]:
        """An item that lacks may come later; what must be there is for the step to say."""
        cleaned = super().clean()
        self.instance.items = self.instance.items | {key: cleaned.get(text_of(key), "") for key in self.wanted}
        return cleaned

    def saved_as(self, name: str) -> str:
        return "items" if name in map(text_of, self.wanted) else super().saved_as(name)


def text_of(key: str) -> str:
    """The name of the form's field for an item."""
    return f"item_{key}"


def file_of(paper: str) -> str:
    """The name of the form's field for a document's file."""
    return f"{paper}_file"


def called(names: tuple[str, str]) -> Any:
    """An item's name in the reader's language, found when it is shown."""
    return lazy(lambda: names[english()], str)()


def form_with(items: Items, *papers: str) -> type[PaperForm]:
    """The form of a desk with a text for each of `items` and a file for each of `papers`."""
    texts = {
        text_of(key): forms.CharField(
            label=format_lazy("{number}. {name}", number=number, name=called(names)),
            max_length=MOST_TEXT, required=False, widget=UnfoldAdminTextareaWidget({"rows": 3}),
        )
        for number, (key, names) in enumerate(items.items(), 1)
    }  # fmt: skip
    files = {
        file_of(name): forms.FileField(
            label=_("… or its file (PDF, PNG, JPEG, DOCX, XLSX)"), required=False, widget=UnfoldAdminFileFieldWidget
        )
        for name in papers
    }
    base = ItemsForm if items else PaperForm
    return type(base)(base.__name__, (base,), {"wanted": items, "papers": papers} | texts | files)


def read(items: Items, texts: Mapping[str, Any]) -> SafeString:
    """The items with their texts, to be read."""
    said = ((called(names), texts.get(key) or "–") for key, names in items.items())
    return format_html('<ol class="items">{}</ol>', format_html_join("", "<li><b>{}</b><p>{}</p></li>", said))


class Papered(Stepped):
    """A desk whose documents may be given as files: they are kept as documents of the person's own party."""

    def save_model(self, request: HttpRequest, obj: Any, form: ModelForm, change: bool) -> None:
        for name in getattr(form, "papers", ()):
            if upload := form.cleaned_data.get(file_of(name)):
                setattr(obj, name, documents.store(self.keeper(obj, request.user), upload, request.user))
        super().save_model(request, obj, form, change)

    def keeper(self, thing: Model, by: User) -> Party:
        """Of the parties that may change it, the person's own."""
        found = [reduce(getattr, path.split("__"), thing) for path in self.changed_by]
        mine = set(parties_of(by))
        return next((party for party in found if party in mine), found[0])
