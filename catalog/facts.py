"""From rows to the values that the pure rules take."""

from catalog.covers import Grant, Item, Mode
from catalog.models import Authorization, Resource


def grant_of(authorization: Authorization) -> Grant:
    """Every fact of an authorization (four SQL queries; the path of a query uses `licensing.chain`)."""
    return Grant(
        mode=Mode(authorization.mode),
        in_force=authorization.state == Authorization.State.IN_FORCE,
        since=authorization.since,
        until=authorization.until,
        operator=str(authorization.operator_id),
        sector=authorization.sector,
        grantee=str(authorization.grantee_id or ""),
        merchants=frozenset(str(pk) for pk in authorization.merchants.values_list("pk", flat=True)),
        listed=frozenset(authorization.listed.values_list("code", flat=True)),
        excluded=frozenset(authorization.excluded.values_list("code", flat=True)),
        purposes=frozenset(authorization.purposes),
    )


def item_of(resource: Resource) -> Item:
    return Item(resource.code, resource.state == Resource.State.REGISTERED, resource.sector)
