"""What plans and agreements must hold. Pure: no Django, no I/O. After 27号."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from catalog.covers import Mode
from exchange.days import years_after

MOST_YEARS = 5  # 27号: as a rule

PLAN_ITEMS = {
    "name": ("名称", "name"),
    "necessity": ("必要性和可行性", "necessity and feasibility"),
    "selection": ("运营机构选择方式", "how the operator is chosen"),
    "mode": ("授权模式", "mode"),
    "resources": ("数据资源、目录、更新频率和质量", "resources, catalog, update frequency and quality"),
    "term": ("期限、工作、保障、进度、考核、退出和资产", "term, works, safeguards, schedule, criteria, exit, assets"),
    "products": ("公共治理公益类和产业类产品和服务清单", "products and services for the public good and for industry"),
    "accounts": ("核算和收益分配", "accounting and revenue sharing"),
    "security": ("安全和个人信息保护", "security and personal information"),
    "duties": ("权利和义务", "rights and duties"),
    "supervision": ("监督和评价", "supervision and evaluation"),
    "other": ("其他事项", "other"),
}
"""The 12 items of an implementation plan 实施方案, in Chinese and English."""

AGREEMENT_ITEMS = {
    "resources": ("数据资源和目录", "resources and catalog"),
    "term": ("期限", "term"),
    "products": ("产品及其技术、安全、业务审核标准", "products, and standards of their review"),
    "platform": ("平台", "platform"),
    "assets": ("资产权属", "ownership of assets"),
    "disclosure": ("信息披露；运营机构不得参与再开发", "disclosure; the operator redevelops nothing it delivers"),
    "accounts": ("核算和收益分配", "accounting and revenue sharing"),
    "security": ("安全", "security"),
    "evaluation": ("评价、续期或退出", "evaluation, renewal or exit"),
    "breach": ("违约责任", "breach"),
    "disputes": ("争议解决", "disputes"),
    "change": ("变更和终止", "change and termination"),
    "other": ("其他事项", "other"),
}
"""The 13 items of an operation agreement 授权运营协议."""


def missing(items: Mapping[str, object], wanted: Mapping[str, tuple[str, str]]) -> list[str]:
    """The keys of `wanted` that `items` has no text for, in their order."""
    return [key for key in wanted if not str(items.get(key) or "").strip()]


def too_long(since: date, until: date) -> bool:
    return until > years_after(since, MOST_YEARS)


@dataclass(frozen=True, slots=True)
class Scope:
    """What an authorization is for, and when; days are inclusive."""

    mode: Mode
    since: date
    until: date
    sector: str = ""
    scenario: str = ""
    grantee: str = ""


def overlap(one: Scope, other: Scope) -> bool:
    """Whether two authorizations give the same to two operators at one time: the region, a sector, or a scenario."""
    if one.mode is not other.mode or one.until < other.since or other.until < one.since:
        return False
    match one.mode:
        case Mode.FULL:
            return True
        case Mode.SECTOR:
            return one.sector == other.sector
        case Mode.SCENARIO:
            return (one.scenario, one.grantee) == (other.scenario, other.grantee)
