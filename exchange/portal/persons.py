"""Who a request speaks for and acts for, and the page where a person shows the second factor."""

from collections.abc import Callable
from typing import Any

import segno
from django import forms
from django.contrib.auth import SESSION_KEY
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme, urlencode
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from exchange.audit import log
from exchange.errors import Problem
from exchange.parties import members, second_factor
from exchange.parties.acts import ACTING_FOR
from exchange.parties.models import User
from exchange.parties.second_factor import Verified
from exchange.portal.texts import told

KEPT, PARTY = "second_factor", "party"


class ActingFor:
    """Middleware: a session acts for one party at a time, the one chosen on /parties/, at first the oldest."""

    def __init__(self, respond: Callable[[HttpRequest], HttpResponse]) -> None:
        self.respond = respond

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if SESSION_KEY in request.session and request.user.is_authenticated:
            mine = [str(party.pk) for party in members.all_of(request.user)]
            chosen = request.session.get(PARTY)
            setattr(request.user, ACTING_FOR, chosen if chosen in mine else next(iter(mine), None))
        return self.respond(request)


def choose(request: HttpRequest, party: str) -> None:
    """Have the session act for another party of the person's. What is none of theirs is not chosen."""
    if party in {str(each.pk) for each in members.all_of(request.user)}:
        request.session[PARTY] = party


def person(request: HttpRequest) -> User | Verified:
    """The logged-in person, with the proof where this session has shown the second factor."""
    return second_factor.of_session(request.user, request.session.get(KEPT))


def to_second_factor(request: HttpRequest) -> HttpResponse:
    """Send a person who lacks the proof to where it is made, and back here afterwards."""
    return redirect(f"{reverse('second-factor')}?{urlencode({'next': request.get_full_path()})}")


def log_superuser(user: User, **_signal: Any) -> None:
    """That a superuser logged in is on record: the glass is broken from here on."""
    if user.is_superuser:
        with transaction.atomic():
            log.append("glass.entered", {"v": 1, "actor": str(user.pk), "superuser": True})


class CodeForm(forms.Form):
    """A code of the authenticator, or a recovery code."""

    code = forms.CharField(
        label=_("authenticator code"), max_length=40,
        widget=forms.TextInput({"autocomplete": "one-time-code", "autofocus": True, "spellcheck": "false"}),
    )  # fmt: skip


@login_required(login_url="admin:login")
@never_cache
@require_http_methods(["GET", "POST"])
def second_factor_page(request: HttpRequest) -> HttpResponse:
    """Enrol an authenticator, or show a code of it; then on to where one came from."""
    act = {"begin": _begin, "confirm": _confirm, "verify": _verify}.get(request.POST.get("act", ""), _look)
    return act(request)


def _look(request: HttpRequest, **more: Any) -> HttpResponse:
    now = person(request)
    page = {
        "enrolled": second_factor.is_enrolled(request.user),
        "verified": now if isinstance(now, Verified) else None,
        "form": CodeForm(),
        "next": _next(request),
    } | more
    return render(request, "portal/second_factor.html", page, status=400 if page["form"].errors else 200)


def _begin(request: HttpRequest) -> HttpResponse:
    try:
        return _look(request, **_shown(request, second_factor.do_begin(person(request))))
    except Problem as problem:
        return _look(request, form=_wrong(CodeForm({"code": ""}), problem))


def _confirm(request: HttpRequest) -> HttpResponse:
    form = CodeForm(request.POST)
    try:
        if form.is_valid():
            proof, codes = second_factor.do_confirm(request.user, form.cleaned_data["code"])
            _keep(request, proof)
            return _look(request, codes=codes)
        return _look(request, form=form, **_shown(request, second_factor.pending_secret(request.user)))
    except Problem as problem:
        if problem.code == "step_not_possible":
            return _look(request)
        shown = _shown(request, second_factor.pending_secret(request.user))
        return _look(request, form=_wrong(form, problem), **shown)


def _verify(request: HttpRequest) -> HttpResponse:
    form = CodeForm(request.POST)
    if not form.is_valid():
        return _look(request, form=form)
    try:
        _keep(request, second_factor.do_verify(request.user, form.cleaned_data["code"]))
    except Problem as problem:
        return _look(request, form=_wrong(form, problem))
    return redirect(_next(request) or reverse("second-factor"))


def _keep(request: HttpRequest, proof: Verified) -> None:
    """A session that can do more gets a new key, so that an older one, once seen, is worth nothing."""
    request.session.cycle_key()
    request.session[KEPT] = proof.for_session()


def _shown(request: HttpRequest, secret: str) -> dict[str, Any]:
    """The secret to be enrolled, as a QR code and as text."""
    qr = segno.make(second_factor.uri(request.user, secret), micro=False)
    picture = qr.svg_inline(scale=5, dark="#16232e", light="#fff", svgclass="qr")
    return {"qr": picture, "secret": " ".join(secret[i : i + 4] for i in range(0, len(secret), 4))}


def _wrong(form: CodeForm, problem: Problem) -> CodeForm:
    form.is_valid()
    form.errors.clear()
    form.add_error("code", told(problem))
    return form


def _next(request: HttpRequest) -> str:
    """Where to go on to: a page of ours, or none."""
    wanted = request.POST.get("next") or request.GET.get("next", "")
    safe = url_has_allowed_host_and_scheme(wanted, {request.get_host()}, require_https=request.is_secure())
    return wanted if safe else ""
