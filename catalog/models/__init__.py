"""The tables of the catalog. Rules are in the pure modules and registries beside this folder, not here."""

from catalog.models.authorizations import Authorization, Plan
from catalog.models.demands import Answer, Demand
from catalog.models.products import Product, Sample, Use, Version
from catalog.models.registrations import CodeSeries, Objection, Registration, RegistrationItem
from catalog.models.resources import Column, Domain, Resource, Snapshot
from catalog.models.search import Entry, Gram
from catalog.models.sources import Claim, DataItem
from catalog.models.sublicences import SubLicence

__all__ = [
    "Answer", "Authorization", "Claim", "CodeSeries", "Column", "DataItem", "Demand", "Domain", "Entry", "Gram",
    "Objection", "Plan", "Product", "Registration", "RegistrationItem", "Resource", "Sample", "Snapshot", "SubLicence",
    "Use", "Version",
]  # fmt: skip
