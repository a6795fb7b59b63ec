"""The registration hall 登记大厅: what anyone may see of the registry, and say to it. No login."""

from typing import Any

from django import forms
from django.core.files.uploadedfile import UploadedFile
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from catalog import registration
from catalog.models import Objection, Registration, Resource
from exchange.api.limits import Rate
from exchange.audit import proofs
from exchange.audit.models import Record
from exchange.days import Calendar
from exchange.errors import Problem
from exchange.parties import days, documents
from exchange.portal.texts import named, told

OBJECTIONS = Rate(per_minute=1, burst=5)
MOST = 200  # notices on the page
_SHOWN = Registration.objects.select_related("resource", "product__resource", "registrant", "registrar")
_ENTERED = ("in_force", "cancelled", "revoked", "replaced")
_NOTICED = ("noticed", "ended", *_ENTERED)  # what came under notice, or was entered; a withdrawn one is nobody's to see


class ObjectionForm(forms.Form):
    """An objection as a stranger makes it."""

    name = forms.CharField(label=_("your name or organization"), max_length=200)
    contact = forms.CharField(label=_("contact"), max_length=200)
    text = forms.CharField(label=_("objection"), max_length=5_000, widget=forms.Textarea(attrs={"rows": 6}))
    evidence = forms.FileField(label=_("evidence (PDF, PNG, JPEG, DOCX or XLSX)"))


def notices(request: HttpRequest) -> HttpResponse:
    """What is under public notice 公示, what ends first on top."""
    found = _SHOWN.filter(state="noticed").order_by("due_on", "id")[:MOST]
    calendar = days.calendar()
    return render(request, "portal/notices.html", {"notices": [shown(each, calendar) for each in found]})


def notice(request: HttpRequest, pk: Any) -> HttpResponse:
    """One notice, and a form to object to it."""
    found = get_object_or_404(_SHOWN.filter(state__in=_NOTICED), pk=pk)
    form = ObjectionForm(request.POST or None, request.FILES or None)
    made = request.method == "POST" and found.state == "noticed" and form.is_valid() and _objected(request, found, form)
    description = found.items.filter(what="description").values_list("text", flat=True).first()
    page = {"notice": shown(found, days.calendar()), "form": form, "made": made, "description": description}
    return render(request, "portal/notice.html", page, status=200 if made or request.method == "GET" else 400)


def _objected(request: HttpRequest, noticed: Registration, form: ObjectionForm) -> bool:
    """Whether the objection was taken down; else the form says why not."""
    said = form.cleaned_data
    try:
        if not OBJECTIONS.allow(str(request.META.get("REMOTE_ADDR"))):
            raise Problem("too_many_requests")
        upload: UploadedFile = said.pop("evidence")
        with transaction.atomic():
            paper = documents.store(noticed.registrar, upload)
            registration.do_object(Objection(registration=noticed, evidence=paper, **said))
    except Problem as problem:
        form.add_error(None, told(problem))
        return False
    return True


def certificate(request: HttpRequest, code: str) -> HttpResponse:
    """The printable certificate of a registration that was entered, with what became of it."""
    found = _entered(code)
    data_class = (found.resource or found.subject.resource).data_class
    state = _("in force") if found.state == "in_force" else _("no longer in force")
    if found.state == "in_force" and found.until and found.until < timezone.localdate():
        state = _("no longer in force")
    page = {
        "registration": shown(found, days.calendar()),
        "state": state,
        "data_class": Resource.DataClass(data_class).label,
    }
    return render(request, "portal/certificate.html", page)


def certificate_part(request: HttpRequest, code: str, part: str) -> HttpResponse:
    """The certificate as JWS, or the proof that its record is in the log."""
    found = _entered(code)
    if part == "jws":
        return HttpResponse(found.certificate, content_type="application/jose")
    text = proofs.inclusion(Record.objects.get(pk=found.record))
    return HttpResponse(text, content_type="text/plain; charset=utf-8")


def shown(found: Registration, calendar: Calendar) -> Registration:
    """The registration with its texts in the reader's language: title, who, by, what, and working days left."""
    found.title, found.who, found.by = map(named, (found.subject, found.registrant, found.registrar))
    found.what = found.subject._meta.verbose_name
    found.left = calendar.left(timezone.localdate(), found.due_on) if found.due_on else -1
    return found


def _entered(code: str) -> Registration:
    found = _SHOWN.filter(code=code, state__in=_ENTERED).exclude(certificate="").order_by("-since", "-id").first()
    if found is None:
        raise Http404
    return found
