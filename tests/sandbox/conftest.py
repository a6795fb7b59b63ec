"""Nodes in service for the tests here."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import nodes
from tests.sandbox.shops import Running, make


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The node of the tests that do it no harm."""
    home, snapshots = make(tmp_path_factory.mktemp("node"))
    with nodes.running(home) as process:
        yield Running(home, process, nodes.client(home), snapshots)


@pytest.fixture
def possessed(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    """A function that starts a node whose processes do as they are told after a step."""
    folder = tmp_path / "possessed"
    shutil.copytree(Path(__file__).parent / "possessed", folder)
    home, snapshots = make(tmp_path, seconds=20)  # a busy machine takes long to start a vault
    runs = []

    def start(**steps: str) -> Running:
        tell(**steps)
        context = nodes.running(home, {"PYTHONPATH": str(folder)})
        running = Running(home, context.__enter__(), nodes.client(home), snapshots)
        runs.append(context)
        return running

    def tell(**steps: str) -> None:
        (folder / "orders.json").write_text(json.dumps({f"sluice.{k.replace('_', '.')}": v for k, v in steps.items()}))

    start.tell = tell  # type: ignore[attr-defined]
    yield start
    for context in reversed(runs):
        context.__exit__(None, None, None)
