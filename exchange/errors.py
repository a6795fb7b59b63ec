"""Every way a request can fail: one table, in precedence order.

Pure: no Django, no I/O. `Problem` is the one exception that crosses a public interface; it becomes an
RFC 9457 problem document. Where two refusals apply, the one that stands higher in `CODES` is given.
"""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Code:
    """One stable code: `status` is HTTP's; the titles are for people."""

    code: str
    status: int
    en: str
    zh: str


_TABLE = (
    # Who is asking
    ("token_missing", 401, "An access token is required", "需要访问令牌"),
    ("token_invalid", 401, "The access token is not valid", "访问令牌无效"),
    ("token_expired", 401, "The access token has expired", "访问令牌已过期"),
    ("client_invalid", 401, "The client could not be authenticated", "客户端身份验证失败"),
    (
        "second_factor_missing",
        403,
        "This step needs a code from your authenticator first",
        "此操作须先通过动态口令验证",
    ),
    ("second_factor_wrong", 403, "The code is wrong, or was used before", "动态口令错误或已使用过"),
    ("second_factor_wait", 429, "Too many wrong codes: wait a few minutes", "错误次数过多，请稍后再试"),
    ("not_allowed", 403, "Your party has no right to this", "无权进行此操作"),
    ("not_found", 404, "There is no such thing, or you have no right to it", "对象不存在或无权访问"),
    ("method_not_allowed", 405, "This method is not offered here", "不支持该方法"),
    ("not_acceptable", 406, "No format you accept is offered", "不支持所要求的格式"),
    ("media_type_unsupported", 415, "The body is in no format offered here", "不支持的请求格式"),
    ("too_many_requests", 429, "Too many requests", "请求过于频繁"),
    # What the request looks like
    ("body_malformed", 400, "The body could not be read", "请求内容无法解析"),
    ("body_too_large", 413, "The body is too large", "请求内容过大"),
    ("field_invalid", 400, "A field is missing or wrong", "字段缺失或有误"),
    ("idempotency_key_missing", 400, "An Idempotency-Key header is required", "缺少 Idempotency-Key 头"),
    (
        "idempotency_key_reused",
        409,
        "This Idempotency-Key was used with another body",
        "该 Idempotency-Key 已用于其他请求",
    ),
    ("query_in_progress", 409, "The same query is being answered", "同一查询正在处理"),
    # What the query says
    ("sql_malformed", 400, "The SQL could not be parsed", "SQL 无法解析"),
    ("sql_several_statements", 400, "One statement at a time", "一次只能提交一条语句"),
    ("sql_unsupported", 400, "The query uses something that is not offered", "查询使用了不支持的语法"),
    ("function_unknown", 400, "The query calls a function that is not offered", "查询调用了不支持的函数"),
    ("column_unknown", 400, "The query names a column the product does not have", "查询引用了产品没有的列"),
    ("column_not_dimension", 403, "The column is not a dimension of the product", "该列不是产品的维度"),
    ("column_not_measure", 403, "The column cannot be aggregated like that", "该列不能作此聚合"),
    ("filter_not_allowed", 403, "The product does not allow this filter", "产品不允许此筛选条件"),
    ("join_not_allowed", 403, "The products cannot be joined like that", "不支持这样关联这些产品"),
    ("value_invalid", 400, "A value does not fit its column", "取值与列类型不符"),
    ("query_too_large", 400, "The query is too large", "查询过大"),
    # Whether a thing of the registry may take a step
    ("step_not_possible", 409, "This step cannot be taken from this state", "当前状态不能进行此操作"),
    ("step_not_yours", 403, "This step is for another party", "此操作由其他主体办理"),
    ("step_own", 403, "Nobody approves what they submitted themselves", "不得审批本人提交的事项"),
    ("reason_missing", 400, "This step wants a reason", "请填写理由"),
    ("item_missing", 400, "A required item is missing", "缺少必备材料"),
    ("evidence_too_late", 400, "Evidence is deposited before the application", "存证应在申请登记前完成"),
    ("asked_already", 409, "Missing material is asked for once", "补正材料应一次性告知"),
    ("registration_open", 409, "Another registration of this is under way", "已有登记事项正在办理"),
    ("registration_missing", 409, "There is no registration in force", "尚无有效登记"),
    (
        "registration_wanted",
        409,
        "What is registered changes by a registration of change only",
        "已登记事项须办理变更登记",
    ),
    ("claim_made", 409, "This resource claims this data item already", "该资源已主张为此数据项的数源"),
    (
        "source_contested",
        409,
        "Another resource claims to be the source of the same data item",
        "数据项的数源存在冲突，尚待确定",
    ),
    (
        "sub_licence_not_possible",
        409,
        "Nothing is sub-licensed in a scenario, nor to the operator itself",
        "依场景授权及运营机构自身不适用二级授权",
    ),
    ("sub_licence_too_long", 409, "A sub-licence stays within its authorization", "二级授权期限不得超出授权期限"),
    (
        "sub_licence_there",
        409,
        "The merchant has a sub-licence under this authorization",
        "该数商在此授权下已有二级授权",
    ),
    ("notice_running", 409, "The public notice has not ended", "公示期未满"),
    ("objection_open", 409, "An objection has not been decided", "异议尚未处理完毕"),
    ("objection_missing", 409, "No objection was found to be right", "没有成立的异议"),
    ("renewal_too_early", 409, "Renewal is in the last 60 days", "续展应在有效期届满前六十日内申请"),
    ("plan_missing", 409, "There is no filed plan of this mode", "尚无已备案的同一模式实施方案"),
    ("agreement_too_long", 400, "An agreement runs at most 5 years", "授权运营协议期限最长五年"),
    ("selection_missing", 400, "How the operator was chosen is not recorded", "缺少运营机构公平竞争选择的记录"),
    ("document_missing", 400, "A document is missing", "缺少文件"),
    ("authorization_overlaps", 409, "Another authorization covers the same at that time", "与其他授权在同一期间重叠"),
    ("link_invalid", 403, "The link is not valid, was used, or has expired", "链接无效、已使用或已过期"),
    ("platform_missing", 503, "No party runs this exchange yet", "平台运营方尚未设立"),
    ("party_registered", 409, "This organization is registered already", "该组织已入驻"),
    ("administrator_last", 409, "A party keeps one administrator at least", "主体至少保留一名管理员"),
    ("application_open", 409, "Another application is under way", "已有申请正在办理"),
    ("decision_missing", 409, "A requested role has not been decided", "仍有申请的角色未作决定"),
    ("documents_many", 409, "No more documents are taken for this", "文件数量已达上限"),
    ("party_not_accredited", 403, "The party is not accredited for this", "该主体未获相应资格"),
    (
        "version_frozen",
        409,
        "What was submitted or released changes by a new version only",
        "已提交或已发布的内容只能以新版本变更",
    ),
    ("version_open", 409, "Another version of this product is under way", "该产品已有版本正在办理"),
    ("version_missing", 409, "No version of this product is live", "该产品没有已发布的版本"),
    ("sample_missing", 409, "There is no sample answer, nor a reason why", "没有样例结果，也未说明原因"),
    (
        "redevelopment_barred",
        403,
        "An operator takes no part in redeveloping what it delivered",
        "运营机构不得直接或间接参与其已交付产品的再开发",
    ),
    ("data_core", 403, "Core data never enter authorized operation", "核心数据不得进入授权运营"),
    ("assessment_missing", 403, "Important data need a recorded assessment", "重要数据须经评估"),
    ("contact_in_text", 400, "A public text holds no contact", "公开内容不得含联系方式"),
    ("answer_open", 409, "Your earlier answer has not been decided", "此前的应答尚未处理"),
    # Whether it may be asked: the chain, from the top
    ("resource_not_in_force", 403, "The resource is not in service", "数据资源未在服务"),
    ("authorization_not_in_force", 403, "The authorization is not in force", "授权未生效或已终止"),
    ("authorization_does_not_cover", 403, "The authorization does not cover this", "授权范围不包含此项"),
    ("product_not_listed", 403, "The product is not listed", "产品未上架"),
    ("product_not_queryable", 403, "The product is not queried here", "该产品不支持查询"),
    ("licence_missing", 403, "Your party has no licence for this product", "没有该产品的许可"),
    ("licence_not_in_force", 403, "The licence is not in force", "许可未生效或已失效"),
    ("purpose_not_allowed", 403, "The licence does not name this purpose", "许可未包含该用途"),
    (
        "profile_too_weak",
        403,
        "The holder's policy asks for a stricter profile",
        "数据持有方要求更严格的隐私级别",
    ),
    ("snapshot_missing", 409, "The resource has no snapshot in service", "数据资源没有可用快照"),
    (
        "not_yet_logged",
        409,
        "The record is not in the log yet; ask again in a second",
        "记录尚未入日志，请稍后再试",
    ),
    ("quota_exhausted", 403, "The licence's quota is used up", "许可配额已用完"),
    ("budget_exhausted", 403, "The licence's share of the budget is used up", "该许可的隐私预算份额已用完"),
    ("population_exhausted", 403, "The population's budget is used up", "该群体的查询预算已用完"),
    ("credit_exhausted", 402, "The account's balance does not cover this", "账户余额不足"),
    # What the node says
    ("node_refused", 403, "The data domain refused the order", "数据域拒绝了该指令"),
    ("policy_refused", 403, "The data holder's policy does not allow this", "数据持有方的策略不允许此项"),
    ("stopped_by_holder", 403, "The data holder has stopped this data", "数据持有方已停止提供该数据"),
    (
        "journal_behind",
        502,
        "The data domain's journal is older than its own releases",
        "数据域的日志早于其已签发的结果",
    ),
    ("plan_blocked", 403, "This query is blocked on this snapshot", "该查询已在此快照上被阻止"),
    ("snapshot_gone", 409, "The data domain no longer has this snapshot", "数据域已无此快照"),
    ("snapshot_unreadable", 502, "The data domain cannot read its snapshot", "数据域无法读取快照"),
    ("query_failed", 502, "The query did not finish in its time", "查询未在规定时间内完成"),
    ("engine_failed", 502, "The data domain could not run the query", "数据域无法执行查询"),
    (
        "node_unreachable",
        503,
        "The data domain cannot be reached; the query will be settled later",
        "无法连接数据域，查询将稍后结算",
    ),
    ("node_untrusted", 502, "The data domain's answer could not be trusted", "数据域的应答不可信"),
    # Us
    ("internal", 500, "Something went wrong here", "系统内部错误"),
)

CODES: dict[str, Code] = {row[0]: Code(*row) for row in _TABLE}
_RANK = {code: rank for rank, code in enumerate(CODES)}


class Problem(Exception):
    """A request that fails with a stable `code` of `CODES`.

    `detail` says what was wrong with this one, `hint` what would be allowed; neither ever carries data,
    engine text or a stack. `extra` are further members of the problem document.
    """

    def __init__(self, code: str, detail: str = "", hint: str = "", **extra: Any) -> None:
        if code not in CODES:
            raise ValueError(f"unknown problem code {code!r}")
        super().__init__(code, detail)
        self.code = code
        self.detail = detail
        self.hint = hint
        self.extra = extra

    @property
    def status(self) -> int:
        return CODES[self.code].status

    def title(self, language: str) -> str:
        """What went wrong, in `en` or `zh`."""
        row = CODES[self.code]
        return row.zh if language.startswith("zh") else row.en

    def document(self, language: str = "en") -> dict[str, Any]:
        """The problem document (RFC 9457), in `en` or `zh`."""
        body: dict[str, Any] = {
            "type": f"urn:sluice:problem:{self.code}",
            "title": self.title(language),
            "status": self.status,
            "code": self.code,
        }
        if self.detail:
            body["detail"] = self.detail
        if self.hint:
            body["hint"] = self.hint
        return body | self.extra


def first(codes: "list[str] | tuple[str, ...]") -> str:
    """Of several codes the one that takes precedence."""
    return min(codes, key=_RANK.__getitem__)
