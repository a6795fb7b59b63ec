"""The form in which a merchant composes a version of a product, and what it shows of it at once."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import Model, Q, QuerySet
from django.utils import timezone
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from catalog.composition import Composition
from catalog.covers import covers
from catalog.facts import grant_of, item_of
from catalog.models import Authorization, Product, Resource, SubLicence, Use, Version
from catalog.offering import Offering, offering
from catalog.snapshots import manifest_of
from exchange.parties.accreditation import accredited
from exchange.parties.acts import parties_of
from exchange.parties.models import Party, Role, User
from exchange.portal.admin.desks import DraftForm
from exchange.portal.texts import english
from exchange.sandbox import budget
from exchange.sandbox.query import Profile
from exchange.sandbox.schema import Column, Manifest
from exchange.sandbox.schema import Role as ColumnRole

LINE = ("authorization", "merchant", "code", "name_zh", "name_en", "kind", "description_zh", "description_en")
COLUMNS = ("dimensions", "bins", "measures")
OWN = ("use", "resource", "profile", "threshold", "rows", "rho", "merchant_share", "note")
CHECKBOXES = UnfoldAdminCheckboxSelectMultipleWidget
DESCRIPTION = UnfoldAdminTextareaWidget(attrs={"rows": 2})
SHOW = "_show"  # the button that shows, and saves nothing


class Composing(DraftForm):
    """A version of a product, and with the first one the product itself. `user` is set by the desk.

    Each choice narrows those below it: the authorization what resources there are, the resource its columns and how
    strict the profile is at least.
    """

    user: User

    authorization = forms.ModelChoiceField(
        Authorization.objects.none(), label=_("authorization"), widget=UnfoldAdminSelectWidget
    )
    merchant = forms.ModelChoiceField(Party.objects.none(), label=_("data merchant"), widget=UnfoldAdminSelectWidget)
    code = forms.SlugField(label=_("code"), max_length=60, widget=UnfoldAdminTextInputWidget)
    name_zh = forms.CharField(label=_("Chinese name"), max_length=200, widget=UnfoldAdminTextInputWidget)
    name_en = forms.CharField(
        label=_("English name"), max_length=200, required=False, widget=UnfoldAdminTextInputWidget
    )
    kind = forms.ChoiceField(label=_("kind"), choices=Product.Kind.choices, widget=UnfoldAdminSelectWidget)
    description_zh = forms.CharField(
        label=_("Chinese description"), max_length=5_000, required=False, widget=DESCRIPTION
    )
    description_en = forms.CharField(
        label=_("English description"), max_length=5_000, required=False, widget=DESCRIPTION
    )
    dimensions = forms.MultipleChoiceField(label=_("dimensions"), required=False, widget=CHECKBOXES)
    bins = forms.MultipleChoiceField(label=_("bins"), required=False, widget=CHECKBOXES)
    measures = forms.MultipleChoiceField(label=_("measures"), required=False, widget=CHECKBOXES)

    class Meta:
        model = Version
        fields = (*OWN, "bases")
        widgets = {"note": UnfoldAdminTextareaWidget(attrs={"rows": 2})}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.product = self.instance.product if self.instance.product_id else None
        self._line()
        self.authorized = self._chosen("authorization")
        seller = self._chosen("merchant")
        self.fields["resource"].queryset = resources(self.authorized, seller)
        self.resource = self._chosen("resource")
        self.manifest = manifest(self.resource)
        self.policy = self.resource.snapshot.policy if self.resource and self.resource.snapshot else {}
        self._columns()
        self._strictness()
        for field in self.fields.values():
            field.label = capfirst(field.label)
        others = Product.objects.filter(version__gt=0).exclude(pk=self.product and self.product.pk).order_by("code")
        self.fields["bases"].queryset = others

    def _line(self) -> None:
        """The product's own fields: chosen with its first version, and then as they are."""
        mine = parties_of(self.user)
        self.fields["authorization"].queryset = authorizations(self.user)
        sellers = accredited(Role.MERCHANT)
        self.fields["merchant"].queryset = sellers if self.user.is_superuser else sellers & mine
        if self.product is None:
            only = self.fields["merchant"].queryset[:2]
            if len(only) == 1:
                self.initial.setdefault("merchant", only[0].pk)
            return
        for name in LINE:
            self.initial.setdefault(name, getattr(self.product, f"{name}_id", getattr(self.product, name)))
        fixed = LINE if self.product.version or self.instance.number > 1 else ("merchant",)
        for name in fixed:
            field = self.fields[name]
            field.disabled = True
            if isinstance(field, forms.ModelChoiceField):
                field.queryset = field.queryset.model.objects.filter(pk=getattr(self.product, f"{name}_id"))

    def _columns(self) -> None:
        chosen = set(self.instance.columns or ())
        groups = grouped(self.manifest)
        for name in COLUMNS:
            self.fields[name].choices = [(column.name, labelled(column)) for column in groups[name]]
            self.initial.setdefault(name, [column.name for column in groups[name] if column.name in chosen])

    def _strictness(self) -> None:
        """What the holder's policy asks for is the least; a product may only be stricter."""
        least = Profile(self.policy.get("profile", Profile.OPEN.value))
        protected = self.manifest is None or self.manifest.schema.entity is not None
        words = dict(Version._meta.get_field("profile").choices)
        allowed = [each for each in Profile if each.strictness >= least.strictness and (protected or each is least)]
        self.fields["profile"].choices = [(each.value, words[each.value]) for each in allowed]
        threshold = int(self.policy.get("threshold", 0))
        self.fields["threshold"].min_value = threshold
        self.fields["threshold"].validators.append(forms.fields.validators.MinValueValidator(threshold))
        if self.instance._state.adding:
            self.initial.setdefault("threshold", threshold or 10)

    def _chosen(self, name: str) -> Any:
        """What is chosen in a field, whatever else the form lacks; None for nothing, and for what is not offered."""
        field = self.fields[name]
        raw = self.initial.get(name)
        if self.is_bound and not field.disabled:
            raw = field.widget.value_from_datadict(self.data, self.files, self.add_prefix(name))
        try:
            return field.clean(raw)
        except ValidationError:
            return None

    def is_valid(self) -> bool:
        """Where it is only to be shown, nothing is wrong with it, and nothing is saved."""
        if SHOW in self.data:
            self._errors = forms.utils.ErrorDict()
            return False
        return super().is_valid()

    def clean_code(self) -> str:
        code = str(self.cleaned_data["code"])
        if Product.objects.filter(code=code).exclude(pk=self.product and self.product.pk).exists():
            raise ValidationError(_("This code is taken."))
        return code

    def clean(self) -> dict[str, Any]:
        """The columns in the order that the resource declares, with the entity that cells are judged by."""
        cleaned = super().clean() or self.cleaned_data
        self.instance.columns = self.columns({name: cleaned.get(name, []) for name in COLUMNS}, cleaned.get("profile"))
        return cleaned

    def columns(self, chosen: dict[str, list[str]], profile: object) -> list[str]:
        if self.manifest is None:
            return list(self.instance.columns or ())
        names = {name for part in chosen.values() for name in part}
        entity = self.manifest.schema.entity
        if entity is not None and profile != Profile.OPEN:
            names.add(entity.name)
        return [column.name for column in self.manifest.schema.columns if column.name in names]

    def composition(self) -> Composition | None:
        """What is composed so far; None where there is no resource with a snapshot yet."""
        if self.manifest is None:
            return None
        profile = self._chosen("profile") or self.fields["profile"].choices[0][0]
        columns = self.columns({name: self._chosen(name) or [] for name in COLUMNS}, profile)
        numbers = {name: self._chosen(name) or 0 for name in ("threshold", "rows", "rho")}
        return Composition(frozenset(columns), Profile(profile), **numbers, free=self._chosen("use") == Use.PUBLIC_GOOD)

    def preview(self) -> dict[str, Any]:
        """What a buyer could ask, for the page."""
        code = self._chosen("code") or "product"
        return preview(code, self.composition(), self.manifest, self.policy)

    @property
    def changed_line(self) -> list[str]:
        return [name for name in self.changed_data if name in LINE and name != "merchant"]

    @property
    def changed_own(self) -> list[str]:
        columns = ["columns"] if set(self.changed_data) & {*COLUMNS, "profile", "resource"} else []
        return [name for name in self.changed_data if name in OWN] + columns


def authorizations(user: User) -> QuerySet[Authorization]:
    """What is in force, and by which the person's parties may make products."""
    live = Authorization.objects.filter(state=Authorization.State.IN_FORCE)
    if user.is_superuser:
        return live
    mine = parties_of(user)
    licensed = SubLicence.objects.filter(merchant__in=mine, state=SubLicence.State.IN_FORCE).values("authorization")
    return live.filter(Q(operator__in=mine) | Q(pk__in=licensed) | Q(grantee__in=mine)).distinct()


def resources(authorized: Authorization | None, merchant: Model | None) -> QuerySet[Resource]:
    """What the authorization covers for the merchant today."""
    registered = Resource.objects.filter(state=Resource.State.REGISTERED).order_by("code")
    if authorized is None or merchant is None:
        return registered.none()
    grant, today = grant_of(authorized), timezone.localdate()
    purpose = next(iter(grant.purposes), "")
    found = [each.pk for each in registered if not covers(grant, item_of(each), purpose, str(merchant.pk), today)]
    return registered.filter(pk__in=found).select_related("snapshot")


def manifest(resource: Resource | None) -> Manifest | None:
    return manifest_of(resource.snapshot_id) if resource and resource.snapshot_id else None


def grouped(found: Manifest | None) -> dict[str, list[Column]]:
    """The columns to choose from: dimensions, those that the holder derives of others (bins), measures."""
    columns = found.schema.columns if found else ()
    plain = [column for column in columns if column.role is ColumnRole.DIMENSION]
    return {
        "dimensions": [column for column in plain if column.derived is None],
        "bins": [column for column in plain if column.derived is not None],
        "measures": [column for column in columns if column.role is ColumnRole.MEASURE],
    }


KINDS = {"string": _("text"), "integer": _("integer"), "decimal": _("decimal"), "boolean": _("yes or no"),
         "date": _("date")}  # fmt: skip


def labelled(column: Column) -> str:
    """A column in a list of choices: its name, its label, its kind, and how large it is."""
    label = (english() and column.label_en) or column.label_zh
    parts = [column.name, label if label != column.name else "", str(KINDS[column.kind.value])]
    if column.role is ColumnRole.MEASURE:
        parts.append(bounds(column))
    elif column.domain:
        parts.append(str(_("%(number)d values") % {"number": len(column.domain)}))
    if column.derived is not None:
        parts.append(str(_("of %(column)s") % {"column": column.derived.of}))
    return " · ".join(part for part in parts if part)


def bounds(column: Column) -> str:
    """A measure's bounds in whole units."""
    low, high = (f"{bound / 10**column.scale:,.{column.scale}f}" for bound in (column.low, column.high))
    return f"{low} – {high}"


def law(policy: dict[str, Any]) -> str:
    """The holder's policy in a sentence."""
    words = dict(Version._meta.get_field("profile").choices)
    said = str(_("The holder asks for “%(profile)s” at least.") % {"profile": words[policy["profile"]]})
    if policy.get("threshold"):
        said += " " + str(_("Of a cell, at least %(number)d entities.") % {"number": policy["threshold"]})
    if policy.get("budget"):
        unit = "micro-ρ" if policy["profile"] == Profile.PRIVATE else _("looks")
        said += " " + str(
            _("The population's budget is %(number)d %(unit)s.") % {"number": policy["budget"], "unit": unit}
        )
    return said


def preview(code: str, made: Composition | None, found: Manifest | None, policy: dict[str, Any]) -> dict[str, Any]:
    """What a buyer could ask of it, as the page shows it; empty where nothing is chosen."""
    if made is None or found is None or not made.columns:
        return {}
    told: Offering = offering(code, made, found)
    private = policy.get("profile") == Profile.PRIVATE
    price = budget.shown(made.rho, policy["delta"]) if made.profile is Profile.PRIVATE and policy.get("delta") else None
    return {
        "offering": told,
        "law": law(policy) if policy else "",
        "dimensions": [shown(each.column, each.examples, each.values) for each in told.dimensions],
        "bins": [shown(each.column, each.examples, each.values) for each in told.bins],
        "measures": [shown(each.column) | {"functions": each.functions} for each in told.measures],
        "profile": dict(Version._meta.get_field("profile").choices)[made.profile.value],
        "threshold": made.threshold if made.profile is Profile.GUARDED else 0,
        "rows": made.rows if made.profile is Profile.PRIVATE else 0,
        "price": price,
        "budget": policy.get("budget", 0),
        "private": private,
        "free": made.free,
    }


def shown(column: Column, examples: tuple[Any, ...] = (), values: int = 0) -> dict[str, Any]:
    label = (english() and column.label_en) or column.label_zh
    return {
        "name": column.name,
        "label": label if label != column.name else "",
        "kind": KINDS[column.kind.value],
        "bounds": bounds(column) if column.role is ColumnRole.MEASURE else "",
        "of": column.derived.of if column.derived else "",
        "examples": examples,
        "more": values - len(examples),
    }
