"""A node's home and node.toml: misconfiguration speaks before anything starts."""

import json
import stat

import pytest

from exchange.sandbox.node import home
from exchange.sandbox.node.home import BadConfiguration, Home

MISTAKES = [
    ({}, "name is required"),
    ({"name": "Transport"}, "name is required"),
    ({"name": "../transport"}, "name is required"),
    ({"name": 7}, "name is 7, where a str belongs"),
    ({"name": "t", "vault": 2}, "unknown setting 'vault'"),
    ({"name": "t", "vaults": "2"}, "vaults is '2', where a int belongs"),
    ({"name": "t", "vaults": 0}, "vaults is at least 1"),
    ({"name": "t", "memory_mb": True}, "memory_mb is True"),
    ({"name": "t", "listen": "127.0.0.1"}, "not ADDRESS:PORT"),
    ({"name": "t", "listen": "localhost:8815"}, "not ADDRESS:PORT"),
    ({"name": "t", "listen": "127.0.0.1:99999"}, "no such port"),
    ({"name": "t", "listen": "0.0.0.0:8815"}, "off loopback the node needs tls_certificate and tls_key"),
    ({"name": "t", "listen": "[::]:8815"}, "off loopback the node needs"),
    ({"name": "t", "tls_certificate": "node.crt"}, "go together"),
]


@pytest.mark.parametrize(("values", "says"), MISTAKES, ids=[row[1] for row in MISTAKES])
def test_a_mistake_in_node_toml_is_named(values, says):
    with pytest.raises(BadConfiguration) as refused:
        home.settings_from(values)
    assert says in str(refused.value)


@pytest.mark.parametrize("listen", ["127.0.0.1:0", "127.9.9.9:8815", "[::1]:8815"])
def test_loopback_needs_no_tls(listen):
    assert home.settings_from({"name": "t", "listen": listen}).listen == listen


def test_off_loopback_is_allowed_with_tls():
    values = {"name": "t", "listen": "10.0.0.8:8815", "tls_certificate": "node.crt", "tls_key": "node.key"}
    assert home.settings_from(values).url == "grpc+tls://10.0.0.8:8815"


def test_a_new_home_can_be_loaded_and_offers_nothing(tmp_path):
    at = Home(tmp_path / "node")
    home.create(at, "transport", exchanges={"sluice": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"})
    from exchange.sandbox.node import policy

    law = policy.parse(at.policy.read_bytes())
    assert home.load(at).name == "transport"
    assert (law.resources, list(law.exchanges)) == ({}, ["sluice"])


def test_secrets_and_keys_are_their_owners_alone(tmp_path):
    at = Home(tmp_path / "node")
    home.create(at, "transport")
    for path in (at.row_secret, at.noise_secret, at.key):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for folder in (at.keys, at.journal, at.snapshots):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert len({at.row_secret.read_bytes(), at.noise_secret.read_bytes()}) == 2
    assert len(at.row_secret.read_bytes()) == 32


def test_a_home_is_made_once(tmp_path):
    at = Home(tmp_path / "node")
    home.create(at, "transport")
    before = at.row_secret.read_bytes(), at.key.read_bytes()
    with pytest.raises(BadConfiguration, match="a home is made once"):
        home.create(at, "transport")
    assert (at.row_secret.read_bytes(), at.key.read_bytes()) == before


def test_no_home_says_how_one_is_made(tmp_path):
    with pytest.raises(BadConfiguration, match=r"python -m exchange\.sandbox init"):
        home.load(Home(tmp_path))


def test_a_name_cannot_smuggle_settings_in(tmp_path):
    with pytest.raises(BadConfiguration):
        home.create(Home(tmp_path / "node"), 'x"\nvaults = 99 #')


def test_an_atomic_write_leaves_no_draft(tmp_path):
    path = tmp_path / "endpoint.json"
    for number in range(3):
        home.write_atomic(path, json.dumps(number).encode(), 0o644)
    assert (path.read_text(), [file.name for file in tmp_path.iterdir()]) == ("2", ["endpoint.json"])
