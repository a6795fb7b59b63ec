"""The lives of applications, accreditations and parties. Pure; docs/states.md draws them from here."""

from exchange.steps import BEARER, CLOCK, Machine, Step

APPLICATION = Machine(
    "application",
    "applied",
    (
        Step("confirm", ("applied",), "confirmed", (BEARER,)),
        Step("refer", ("confirmed",), "referred", (CLOCK,)),
        Step("submit", ("confirmed", "returned"), "submitted", (BEARER, "party")),
        Step("ask", ("submitted",), "returned", ("platform",), reason=True),
        Step("accredit", ("submitted",), "accredited", ("platform",), approves=True),
        Step("decline", ("submitted",), "declined", ("platform",), reason=True, approves=True),
        Step("withdraw", ("confirmed", "submitted", "returned"), "withdrawn", (BEARER, "party")),
        Step("lapse", ("applied", "confirmed", "returned"), "lapsed", (CLOCK,)),
    ),
)
"""Who has no account yet acts by a link that was mailed. A party that is there already is referred to its people."""

ACCREDITATION = Machine(
    "accreditation",
    "in_force",
    (Step("end", ("in_force",), "ended", ("platform",), reason=True, approves=True),),
    rest=("in_force",),
)

PARTY = Machine(
    "party",
    "active",
    (
        Step("suspend", ("active",), "suspended", ("platform",), reason=True, approves=True),
        Step("resume", ("suspended",), "active", ("platform",), reason=True, approves=True),
    ),
    rest=("active", "suspended"),
)

MEMBERSHIP = Machine(
    "membership",
    "in_force",
    (Step("end", ("in_force",), "ended", ("party",)),),
    rest=("in_force",),
)
"""By an administrator of the party; see `members`."""
