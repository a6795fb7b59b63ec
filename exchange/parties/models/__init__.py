"""Parties, people, clients; documents, notices, mail; how they are let in and how they prove who they are."""

from exchange.parties.models.applications import (
    Application,
    ApplicationDocument,
    Confirmation,
    RequestedRole,
)
from exchange.parties.models.people import (
    Accreditation,
    Client,
    Day,
    Document,
    Mail,
    Membership,
    Named,
    Notice,
    Party,
    Role,
    Tally,
    User,
    check_credit_code,
)
from exchange.parties.models.second_factor import RecoveryCode, SecondFactor

__all__ = [
    "Accreditation", "Application", "ApplicationDocument", "Client", "Confirmation", "Day", "Document", "Mail",
    "Membership", "Named", "Notice", "Party", "RecoveryCode", "RequestedRole", "Role", "SecondFactor", "Tally", "User",
    "check_credit_code",
]  # fmt: skip
