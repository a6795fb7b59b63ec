from tests.market import market, node  # noqa: F401
