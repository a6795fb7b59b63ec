from typing import Any

import pytest


@pytest.fixture
def shop(db: str) -> Any:
    """A merchant's shop, see tests.catalog.shops."""
    from tests.catalog.shops import open_shop

    return open_shop()
