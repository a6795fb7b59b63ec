"""Applying to be a party: the public pages, from the form to the documents. No login; links are mailed."""

from typing import Any

from django import forms
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from exchange.api.limits import Rate
from exchange.errors import Problem
from exchange.parties import applications, confirmations, members
from exchange.parties.accreditation import platform
from exchange.parties.models import Application, ApplicationDocument, Confirmation, check_credit_code
from exchange.portal.texts import told
from exchange.steps import BEARER

APPLIES, UPLOADS = Rate(per_minute=0.2, burst=5), Rate(per_minute=2, burst=10)  # of one address
KEPT = "application"  # where a session keeps which application its person opened by a link
Purpose = Confirmation.Purpose


class WithPassword(forms.Form):
    """A password, twice, by Django's validators for the person that `whose` names: address and name."""

    password1 = forms.CharField(
        label=_("password of your account"), max_length=128, strip=False,
        widget=forms.PasswordInput({"autocomplete": "new-password"}), help_text=_("At least 12 characters."),
    )  # fmt: skip
    password2 = forms.CharField(
        label=_("password again"), max_length=128, strip=False,
        widget=forms.PasswordInput({"autocomplete": "new-password"}),
    )  # fmt: skip

    def whose(self) -> tuple[str, str]:
        raise NotImplementedError

    def clean(self) -> dict[str, Any]:
        said = super().clean() or self.cleaned_data
        if said.get("password1") != said.get("password2"):
            self.add_error("password2", _("The two passwords differ."))
        elif said.get("password1"):
            try:
                applications.check_password(said["password1"], *self.whose())
            except forms.ValidationError as error:
                self.add_error("password1", error)
        return said


class ApplyForm(WithPassword, forms.ModelForm):
    """What an organization says of itself; everything here can be judged without knowing who is registered."""

    credit_code = forms.CharField(label=_("unified social credit code"), max_length=30)  # with blanks that people copy
    roles = forms.MultipleChoiceField(
        label=_("wants to be"), choices=[(role.value, role.label) for role in applications.ROLES],
        widget=forms.CheckboxSelectMultiple,
    )  # fmt: skip

    class Meta:
        model = Application
        fields = ("name_zh", "name_en", "credit_code", "contact", "email", "phone")

    field_order = ("name_zh", "name_en", "credit_code", "roles", "contact", "email", "phone", "password1", "password2")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["email"].required = True

    def clean_credit_code(self) -> str:
        code = "".join(self.cleaned_data["credit_code"].split()).upper()
        check_credit_code(code)
        return code

    def whose(self) -> tuple[str, str]:
        return self.cleaned_data.get("email", ""), self.cleaned_data.get("contact", "")


class AddressForm(forms.Form):
    email = forms.EmailField(label=_("e-mail"), max_length=150)


class DocumentForm(forms.Form):
    what = forms.ChoiceField(label=_("what it is"), choices=ApplicationDocument.What.choices)
    file = forms.FileField(label=_("document (PDF, PNG, JPEG, DOCX or XLSX)"))


@sensitive_post_parameters("password1", "password2")
@never_cache
@require_http_methods(["GET", "POST"])
def apply(request: HttpRequest) -> HttpResponse:
    """The form to apply with. Sent in order, the answer is one and the same, whoever is known here."""
    form = ApplyForm(request.POST or None)
    made = request.method == "POST" and form.is_valid() and _applied(request, form)
    page = {"form": form, "made": made, "open": platform() is not None}
    return render(request, "portal/apply.html", page, status=400 if form.errors else 200)


def _applied(request: HttpRequest, form: ApplyForm) -> bool:
    try:
        _spare(request, APPLIES)
        applications.do_apply(form.save(commit=False), form.cleaned_data["roles"], form.cleaned_data["password1"])
    except Problem as problem:
        form.add_error(None, told(problem))
    return not form.errors


@never_cache
@require_http_methods(["GET", "POST"])
def again(request: HttpRequest) -> HttpResponse:
    """Have the link of an application mailed again; the same answer for every address."""
    form, asked = AddressForm(request.POST or None), False
    if request.method == "POST" and form.is_valid():
        try:
            _spare(request, APPLIES)
            applications.do_remind(form.cleaned_data["email"])
            asked = True
        except Problem as problem:
            form.add_error(None, told(problem))
    return render(request, "portal/again.html", {"form": form, "asked": asked}, status=400 if form.errors else 200)


@sensitive_post_parameters("password1", "password2")
@never_cache
@require_http_methods(["GET", "POST"])
def confirm(request: HttpRequest, token: str) -> HttpResponse:
    """Where a mailed link leads. To look at it uses nothing: mail programs do; the button does."""
    try:
        found = confirmations.look(token)
        if found.purpose == Purpose.JOIN:
            return _join(request, found, token)
        if request.method == "POST":
            with transaction.atomic():
                application = applications.do_confirm(confirmations.do_use(token))
            return _opened(request, application)
    except Problem as problem:
        return render(request, "portal/confirm.html", {"wrong": told(problem)}, status=problem.status)
    return render(request, "portal/confirm.html", {"confirmation": found})


def _opened(request: HttpRequest, application: Application) -> HttpResponse:
    if application.state == "referred":
        return render(request, "portal/confirm.html", {"referred": True})
    request.session.cycle_key()
    request.session[KEPT] = str(application.pk)
    return redirect("application")


class JoinForm(WithPassword):
    """Of somebody who has no account yet."""

    name = forms.CharField(label=_("your name"), max_length=100)
    field_order = ("name", "password1", "password2")

    def __init__(self, email: str, *args: Any) -> None:
        super().__init__(*args)
        self.email = email

    def whose(self) -> tuple[str, str]:
        return self.email, self.cleaned_data.get("name", "")


def _join(request: HttpRequest, found: Confirmation, token: str) -> HttpResponse:
    """Join a party. Who has an account joins with it: the link came to its address."""
    known = members.has_account(found.email)
    form = None if known else JoinForm(found.email, request.POST or None)
    if request.method == "POST" and (form is None or form.is_valid()):
        said = form.cleaned_data if form else {"name": "", "password1": None}
        with transaction.atomic():
            members.do_join(confirmations.do_use(token), said["name"], said["password1"])
        return redirect("admin:index")
    page = {"confirmation": found, "form": form}
    return render(request, "portal/confirm.html", page, status=400 if form and form.errors else 200)


@never_cache
@require_http_methods(["GET", "POST"])
def application(request: HttpRequest) -> HttpResponse:
    """The application that this session opened by a link: its documents, and to submit it."""
    found = Application.objects.filter(pk=request.session.get(KEPT), party=None).first()
    if found is None:
        return redirect("apply-again")
    return application_page(request, found, BEARER)


def application_page(request: HttpRequest, found: Application, by: Any) -> HttpResponse:
    """An application and what one may do with it, as the one who opened a link or as a person of its party."""
    form, wrong = DocumentForm(), ""
    try:
        match request.POST.get("act"):
            case "attach":
                form = DocumentForm(request.POST, request.FILES)
                if form.is_valid():
                    _spare(request, UPLOADS)
                    applications.do_attach(found, form.cleaned_data["what"], form.cleaned_data["file"], by)
                    return redirect(request.path)
            case "submit" | "withdraw" as step:
                applications.do_step(found, step, by)
                return redirect(request.path)
    except Problem as problem:
        wrong = told(problem)
    page = {
        "application": found,
        "documents": found.documents.select_related("document").order_by("pk"),
        "roles": found.roles.order_by("role"),
        "form": form,
        "wrong": wrong,
        "editable": found.state in ("confirmed", "returned"),
    }
    return render(request, "portal/application.html", page, status=400 if wrong or form.errors else 200)


def _spare(request: HttpRequest, rate: Rate) -> None:
    if not rate.allow(str(request.META.get("REMOTE_ADDR"))):
        raise Problem("too_many_requests")
