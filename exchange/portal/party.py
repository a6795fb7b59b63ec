"""A party's own page: what it is accredited as, its people, and its documents to read."""

from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from exchange.errors import Problem
from exchange.parties import applications, documents, members
from exchange.parties.acts import parties_of
from exchange.parties.models import Application, Document, Membership, Party
from exchange.parties.models.applications import PHONE
from exchange.portal.applying import application_page
from exchange.portal.persons import choose
from exchange.portal.texts import told


class InviteForm(forms.Form):
    email = forms.EmailField(label=_("e-mail"), max_length=150)
    duties = forms.MultipleChoiceField(
        label=_("duties"), choices=Membership.Duty.choices, widget=forms.CheckboxSelectMultiple
    )


class RenewForm(forms.Form):
    roles = forms.MultipleChoiceField(
        label=_("wants to be"), choices=[(role.value, role.label) for role in applications.ROLES],
        widget=forms.CheckboxSelectMultiple,
    )  # fmt: skip
    phone = forms.CharField(label=_("telephone"), max_length=30, validators=[PHONE])


@login_required(login_url="admin:login")
@never_cache
@require_http_methods(["GET", "POST"])
def parties(request: HttpRequest) -> HttpResponse:
    """The parties one acts for: accreditations, people, applications; who administers one invites."""
    act, wanted = request.POST.get("act", ""), request.POST.get("party", "")
    if act == "choose":
        choose(request, wanted)
        return redirect("parties")
    shown, acting = [], list(parties_of(request.user).order_by("pk").distinct())
    for each in acting:
        mine = act if wanted == str(each.pk) else ""
        if mine == "remove" and _removed(request, each):
            return redirect("parties")
        invite = InviteForm(request.POST if mine == "invite" else None, prefix=f"i{each.pk.hex[-6:]}")
        renew = RenewForm(request.POST if mine == "renew" else None, prefix=f"r{each.pk.hex[-6:]}")
        if mine == "invite" and _invited(request, each, invite):
            return redirect("parties")
        if mine == "renew" and _renewed(request, each, renew):
            return redirect("parties")
        shown.append(_shown(request, each, invite, renew))
    wrong = any(form.errors for each in shown for form in (each["invite"], each["renew"]) if form)
    others = [each for each in members.all_of(request.user) if each not in acting]
    return render(request, "portal/parties.html", {"parties": shown, "others": others}, status=400 if wrong else 200)


def _shown(request: HttpRequest, party: Party, invite: InviteForm, renew: RenewForm) -> dict[str, Any]:
    people: dict[Any, list[Any]] = {}
    live = party.memberships.filter(state=Membership.State.IN_FORCE)
    for each in live.select_related("user").order_by("user__username", "duty"):
        people.setdefault(each.user, []).append(each.get_duty_display())
    return {
        "party": party,
        "accreditations": party.accreditations.order_by("role", "since"),
        "people": list(people.items()),
        "applications": party.applications.exclude(state="accredited").order_by("-pk")[:10],
        "invite": invite if party in members.administered(request.user) else None,
        "renew": renew,
    }


def _invited(request: HttpRequest, party: Party, form: InviteForm) -> bool:
    if form.is_valid():
        try:
            members.do_invite(party, form.cleaned_data["email"], form.cleaned_data["duties"], request.user)
            messages.success(request, _("The invitation is on its way."))
        except Problem as problem:
            form.add_error(None, told(problem))
    return not form.errors


def _removed(request: HttpRequest, party: Party) -> bool:
    try:
        person = party.memberships.filter(user__username=request.POST.get("user", "")).first()
        if person is None:
            raise Problem("not_found")
        members.do_remove(party, person.user, request.user)
        messages.success(request, _("The membership is ended."))
    except Problem as problem:
        messages.error(request, told(problem))
    return True


def _renewed(request: HttpRequest, party: Party, form: RenewForm) -> bool:
    if form.is_valid():
        try:
            said = form.cleaned_data
            applications.do_renew(party, said["roles"], request.user, said["phone"])
        except Problem as problem:
            form.add_error(None, told(problem))
    return not form.errors


@login_required(login_url="admin:login")
@never_cache
@require_http_methods(["GET", "POST"])
def own_application(request: HttpRequest, pk: Any) -> HttpResponse:
    """An application of a party of one's own. 404 for another's."""
    found = Application.objects.filter(pk=pk, party__in=parties_of(request.user)).first()
    if found is None:
        raise Http404
    return application_page(request, found, request.user)


@login_required(login_url="admin:login")
@require_safe
def document(request: HttpRequest, pk: Any) -> HttpResponse:
    """A document of a party of one's own, to keep: never shown in a page of ours, whatever it holds."""
    found = Document.objects.filter(pk=pk, party__in=parties_of(request.user)).first()
    if found is None:
        raise Http404
    answer = FileResponse(
        documents.path_of(found.sha256).open("rb"), as_attachment=True, filename=found.name,
        content_type=found.media_type,
    )  # fmt: skip
    answer["Content-Security-Policy"] = "default-src 'none'; sandbox"
    answer["Cache-Control"] = "private, no-store"
    return answer
