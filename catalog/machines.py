"""The lives of what the catalog holds, one machine each. Pure; docs/states.md draws them from here.

What must hold before a step and what follows from it stands in the module of the same name.
"""

from exchange.steps import CLOCK, Machine, Step

OPEN = ("draft", "applied", "returned", "accepted", "noticed")
"""The states of a registration under way."""

REGISTRATION = Machine(
    "registration",
    "draft",
    (
        Step("submit", ("draft",), "applied", ("registrant",), "26号 申请", days=3),
        Step("ask", ("applied",), "returned", ("registrar",), "26号 补正", reason=True),
        Step("submit", ("returned",), "applied", ("registrant",), "26号 补正", days=3),
        Step("accept", ("applied",), "accepted", ("registrar",), "26号 受理", days=20),
        Step("decline", ("applied", "accepted"), "declined", ("registrar",), "26号 不予登记", True, approves=True),
        Step("publish", ("accepted",), "noticed", ("registrar",), "26号 公示", days=10),
        Step("end", ("noticed",), "ended", ("registrar",), "26号 异议成立", reason=True, approves=True),
        Step("enter", ("noticed",), "in_force", ("registrar",), "26号 赋码", approves=True),
        Step("withdraw", OPEN, "withdrawn", ("registrant",), "26号 撤回"),
        Step("replace", ("in_force",), "replaced", (CLOCK,), "26号 变更、续展"),
        Step("cancel", ("in_force",), "cancelled", ("registrar", CLOCK), "26号 注销", reason=True),
        Step("revoke", ("in_force",), "revoked", ("registrar",), "26号 撤销", reason=True, approves=True),
    ),
    rest=("in_force",),
)  # fmt: skip
"""First registration, change and renewal. Where the notice ends without a founded objection, it is entered."""

CANCELLATION = Machine(
    "registration",
    "draft",
    (
        Step("submit", ("draft",), "applied", ("registrant",), "26号 注销", days=10),
        Step("decline", ("applied",), "declined", ("registrar",), "26号 不予登记", reason=True, approves=True),
        Step("enter", ("applied",), "done", ("registrar",), "26号 注销", approves=True),
        Step("withdraw", ("draft", "applied"), "withdrawn", ("registrant",), "26号 撤回"),
    ),
)
"""A cancellation that the registrant asks for; a correction is as short."""

PLAN = Machine(
    "plan",
    "draft",
    (
        Step("submit", ("draft",), "submitted", ("body",), "27号 实施方案"),
        Step("send_back", ("submitted",), "draft", ("authority",), "27号 审议", reason=True),
        Step("approve", ("submitted",), "approved", ("authority",), "27号 审议（三重一大）", approves=True),
        Step("file", ("approved",), "filed", ("authority",), "27号 备案"),
        Step("withdraw", ("draft", "submitted", "approved"), "withdrawn", ("body",), "27号"),
        Step("replace", ("filed",), "replaced", (CLOCK,), "27号 重大变更"),
    ),
    rest=("filed",),
)
"""A major change is a new plan that goes the same way and replaces the old one when it is filed."""

AUTHORIZATION = Machine(
    "authorization",
    "draft",
    (
        Step("submit", ("draft",), "submitted", ("authority",), "27号 授权运营协议"),
        Step("send_back", ("submitted",), "draft", ("authority",), "27号", reason=True),
        Step("sign", ("submitted",), "signed", ("authority",), "27号 签订", approves=True),
        Step("publish", ("signed",), "in_force", ("authority",), "27号 公开"),
        Step("suspend", ("in_force",), "suspended", ("authority",), "27号 暂停", reason=True),
        Step("resume", ("suspended",), "in_force", ("authority",), "27号", approves=True),
        Step("end", ("signed", "in_force", "suspended"), "ended", ("authority",), "27号 退出", reason=True),
        Step("expire", ("in_force", "suspended"), "expired", (CLOCK,), "27号 期满"),
    ),
    rest=("in_force", "suspended"),
)

PRODUCT = Machine(
    "product",
    "draft",
    (
        Step("list", ("draft",), "listed", ("merchant", "reviewer"), "27号 产品清单"),
        Step("suspend", ("listed",), "suspended", ("merchant", "reviewer"), "27号", reason=True),
        Step("pause", ("listed",), "suspended", (CLOCK,), "27号"),
        Step("resume", ("suspended",), "listed", ("reviewer",), "27号"),
        Step("delist", ("draft", "listed", "suspended"), "delisted", ("merchant", "reviewer"), "27号", reason=True),
        Step("cancel", ("draft", "listed", "suspended"), "delisted", (CLOCK,), "26号 注销、撤销"),
    ),
    rest=("draft", "listed", "suspended"),
)
"""Whether a product is offered; where its live version is withdrawn, it pauses.

`reviewer` is who reviews its versions, see catalog.models.Product.reviewer.
"""

IN_MAKING = ("draft", "submitted", "sent_back", "approved")
"""The states of a version that is made beside the live one; a product has one such at a time."""

VERSION = Machine(
    "version",
    "draft",
    (
        Step("submit", ("draft", "sent_back"), "submitted", ("merchant",), "27号 产品审核"),
        Step("send_back", ("submitted",), "sent_back", ("reviewer",), "27号 产品审核", reason=True, approves=True),
        Step("approve", ("submitted",), "approved", ("reviewer",), "27号 产品审核", approves=True),
        Step("release", ("approved",), "live", ("merchant",), "27号 产品交付"),
        Step("replace", ("live",), "replaced", (CLOCK,), "27号 产品交付"),
        Step("withdraw", ("draft", "submitted", "sent_back"), "withdrawn", ("merchant",)),
        Step("withdraw", ("approved", "live"), "withdrawn", ("merchant", "reviewer"), "27号", reason=True),
    ),
    rest=("live",),
)
"""A version's way to its release. The live one is frozen; the release of the next replaces it."""

OBJECTION = Machine(
    "objection",
    "made",
    (
        Step("uphold", ("made",), "upheld", ("registrar",), "26号 异议", reason=True),
        Step("dismiss", ("made",), "dismissed", ("registrar",), "26号 异议", reason=True),
    ),
)

DEMAND = Machine(
    "demand",
    "draft",
    (
        Step("submit", ("draft",), "submitted", ("party",), "board"),
        Step("publish", ("submitted",), "published", ("moderator",), "board", approves=True),
        Step("send_back", ("submitted",), "draft", ("moderator",), "board", reason=True),
        Step("withdraw", ("draft", "submitted"), "withdrawn", ("party",), "board"),
        Step("close", ("published",), "closed", ("party",), "board", reason=True),
        Step("take_down", ("published",), "taken_down", ("moderator",), "board", reason=True),
        Step("expire", ("published",), "expired", (CLOCK,), "board"),
    ),
    rest=("published",),
)
"""A need on the demand board: public only once its moderator, the operator or the platform, has looked at it."""

ANSWER = Machine(
    "answer",
    "made",
    (
        Step("accept", ("made",), "accepted", ("poster",), "board"),
        Step("decline", ("made",), "declined", ("poster",), "board", reason=True),
        Step("withdraw", ("made",), "withdrawn", ("party",), "board"),
        Step("lapse", ("made",), "lapsed", (CLOCK,), "board"),
    ),
)
"""A merchant's answer to a demand; it lapses when the demand leaves the board."""

CLAIM = Machine(
    "claim",
    "made",
    (
        Step("uphold", ("made",), "upheld", ("registrar",), "一数一源", reason=True, approves=True),
        Step("dismiss", ("made",), "dismissed", ("registrar",), "一数一源", reason=True, approves=True),
        Step("withdraw", ("made", "upheld"), "withdrawn", ("holder",), "一数一源"),
        Step("settle", ("made",), "upheld", (CLOCK,), "一数一源"),
        Step("replace", ("upheld",), "replaced", (CLOCK,), "一数一源"),
        Step("close", ("made", "upheld"), "withdrawn", (CLOCK,), "一数一源"),
    ),
    rest=("upheld",),
)
"""A claim to be the source of a data item; with a registration what nobody contests is settled, without one closed."""

SUB_LICENCE = Machine(
    "sub_licence",
    "draft",
    (
        Step("submit", ("draft",), "submitted", ("merchant", "operator"), "二级授权"),
        Step("grant", ("submitted",), "in_force", ("operator",), "二级授权", approves=True),
        Step("decline", ("submitted",), "declined", ("operator",), "二级授权", reason=True),
        Step("withdraw", ("draft", "submitted"), "withdrawn", ("merchant",), "二级授权"),
        Step("suspend", ("in_force",), "suspended", ("operator",), "二级授权", reason=True),
        Step("resume", ("suspended",), "in_force", ("operator",), "二级授权", approves=True),
        Step("end", ("in_force", "suspended"), "ended", ("operator", "merchant"), "二级授权", reason=True),
        Step("expire", ("in_force", "suspended"), "expired", (CLOCK,), "二级授权"),
    ),
    rest=("in_force", "suspended"),
)
"""The second level beneath a whole-region or sector authorization."""
