"""The log over HTTP: what anyone may fetch, and nothing beside it."""

import json
import urllib.error
import urllib.request

import pytest

from exchange.audit import keys
from tests.audit.acts import grow


def fetch(url: str) -> tuple[int, dict[str, str], bytes]:
    try:
        with urllib.request.urlopen(url) as answer:
            return answer.status, dict(answer.headers), answer.read()
    except urllib.error.HTTPError as error:
        return error.code, dict(error.headers), error.read()


def test_there_is_no_checkpoint_before_the_first(server: str) -> None:
    assert fetch(f"{server}/log/checkpoint")[0] == 404


def test_a_tile_is_cached_for_ever_and_a_checkpoint_for_a_second(server: str) -> None:
    grow(300)
    status, headers, note = fetch(f"{server}/log/checkpoint")
    assert (status, headers["Content-Type"]) == (200, "text/plain; charset=utf-8")
    assert headers["Cache-Control"] == "public, max-age=1" and "— ".encode() in note
    status, headers, tile = fetch(f"{server}/log/tile/0/000")
    assert (status, len(tile), headers["Content-Type"]) == (200, 8192, "application/octet-stream")
    assert "immutable" in headers["Cache-Control"]


def test_keys_are_published(server: str) -> None:
    keys.current("receipt")
    assert fetch(f"{server}/log.vkey")[2].decode() == keys.log_vkey() + "\n"
    published = json.loads(fetch(f"{server}/.well-known/jwks.json")[2])
    assert keys.current("receipt").kid in {key["kid"] for key in published["keys"]}
    assert all("d" not in key for key in published["keys"])


def test_nothing_else_of_the_folder_is_served(server: str) -> None:
    grow(3)
    strange = ["tile/0/001", "tile/0/x000", "tile/0/000%0a", "tile/0/000%00", "tile/", ".lock"]
    outside = ["tile/0/../../../keys/log.pem", "tile/0/%2e%2e/checkpoint"]
    for path in strange + outside:
        assert fetch(f"{server}/log/{path}")[0] == 404, path


def test_the_log_takes_nothing_over_http(server: str) -> None:
    grow(1)
    for path in ("log/checkpoint", "log/tile/0/000.p/2", "log.vkey", ".well-known/jwks.json"):
        request = urllib.request.Request(f"{server}/{path}", data=b"x")
        with pytest.raises(urllib.error.HTTPError, match="40[35]"):
            urllib.request.urlopen(request)
