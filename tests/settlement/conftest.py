from pathlib import Path

import pytest

from tests import servers
from tests.market import fill, make_node, market, node, obey  # noqa: F401


@pytest.fixture
def home(tmp_path: Path, var: Path) -> Path:
    """A node's home of this test's own; the node is not running."""
    folder = tmp_path / "node"
    folder.mkdir()
    home, order_key = make_node(folder, listen=f"127.0.0.1:{servers.free_port()}")
    obey(var, order_key)
    fill(home)
    return home
