"""The exchange's side of the wire: one connection to one node, and nothing believed that it has not signed."""

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pyarrow as pa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pyarrow import flight

from exchange.crypto.canonical import digest
from exchange.crypto.jws import BadSignature
from exchange.crypto.keys import SigningKey, to_jwk
from exchange.errors import Problem
from exchange.sandbox.orders import Order, Release, read_release, sign_order

SECONDS = 30.0
ACTION = "execute"
_CHANNEL = [
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.use_local_subchannel_pool", 1),  # a fresh client dials at once, whatever others have met
]


@dataclass(frozen=True, slots=True)
class Answer:
    """A release that was checked, as the node signed it, and its result: an Arrow IPC stream, or JSON."""

    release: Release
    release_jws: str
    result: bytes


class Node:
    """A node that signs with `public_key`. Safe for any number of threads, not across a fork.

    The connection is made with the first order, kept, and made again after a failure. `seconds` is how long
    an answer may take.
    """

    def __init__(
        self, url: str, name: str, public_key: Ed25519PublicKey, tls_root: bytes | None = None,
        seconds: float = SECONDS,
    ) -> None:  # fmt: skip
        self._url, self._name, self._tls_root, self._seconds = url, name, tls_root, seconds
        self._keys = {to_jwk(public_key)["kid"]: public_key}
        self._client: flight.FlightClient | None = None
        self._lock = threading.Lock()

    def execute(self, order: Order, key: SigningKey) -> Answer:
        """Sign `order` and send it. Raises Problem as `send` does."""
        return self.send(sign_order(order, key))

    def send(self, order_jws: str) -> Answer:
        """The node's answer to a signed order; the same order again gets the same answer.

        Raises Problem node_unreachable where there is none, which decides nothing, and node_untrusted where
        what came is not this node's signed answer to this order.
        """
        with self._connected() as client:
            options = flight.FlightCallOptions(timeout=self._seconds)
            action = flight.Action(ACTION, order_jws.encode())
            parts = [part.body.to_pybytes() for part in client.do_action(action, options)]
        if len(parts) != 2:
            raise Problem("node_untrusted", "the node sent no release")
        return self._checked(order_jws, *parts)

    def close(self) -> None:
        with self._lock:
            client, self._client = self._client, None
        if client:
            client.close()

    def _checked(self, order_jws: str, release_jws: bytes, result: bytes) -> Answer:
        try:
            token = release_jws.decode("ascii")
            release = read_release(token, self._keys)
        except (BadSignature, UnicodeDecodeError):
            raise Problem("node_untrusted", "the release is not signed by this node") from None
        expected = (self._name, _order_id(order_jws), digest(order_jws.encode()), digest(result))
        if (release.node, release.order, release.order_digest, release.result) != expected:
            raise Problem("node_untrusted", "the release answers another order")
        return Answer(release, token, result)

    @contextmanager
    def _connected(self) -> Iterator[flight.FlightClient]:
        try:
            with self._lock:
                if self._client is None:
                    self._client = flight.FlightClient(
                        self._url, tls_root_certs=self._tls_root, generic_options=_CHANNEL
                    )
                client = self._client
            yield client
        except (flight.FlightUnauthenticatedError, flight.FlightServerError):
            raise Problem("node_untrusted", "the node refused the order without signing that") from None
        except (pa.ArrowException, OSError):
            self.close()
            raise Problem("node_unreachable") from None


def _order_id(order_jws: str) -> str:
    """The id in an order that we signed ourselves."""
    payload = order_jws.split(".")[1]
    return str(json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["jti"])
