"""What a node is and offers, for whoever runs it."""

import json

from exchange.sandbox.node.home import BadConfiguration, Home, load


def text(home: Home) -> str:
    """JSON: name, address, public key, the resources with their snapshots in service. Raises BadConfiguration."""
    from exchange.crypto.keys import load_or_create, to_jwk
    from exchange.errors import Problem
    from exchange.sandbox.node import policy
    from exchange.sandbox.node.manifests import Manifests

    settings = load(home)
    try:
        law = policy.parse(home.policy.read_bytes())
        if not home.key.exists():
            raise BadConfiguration(f"{home.key} does not exist")
        key = load_or_create(home.key)
    except (OSError, ValueError) as error:
        raise BadConfiguration(str(error)) from error
    manifests, resources = Manifests(home.manifests), {}
    for name, resource in law.resources.items():
        try:
            snapshot = manifests.current(name).snapshot
        except Problem:
            snapshot = ""
        whom = resource.population
        resources[name] = {"population": whom.name, "profile": whom.profile.value, "snapshot": snapshot}
    described = {
        "node": settings.name, "listen": settings.listen, "running": home.endpoint.exists(),
        "public_jwk": to_jwk(key.public), "policy": law.digest, "exchanges": sorted(law.exchanges),
        "resources": resources,
    }  # fmt: skip
    return json.dumps(described, indent=1, ensure_ascii=False)
