"""The gate's one door: Arrow Flight with one action, `execute`. An order in, a signed release and its result out."""

import sqlite3
import sys
from collections.abc import Iterator

import pyarrow as pa
from pyarrow import flight

from exchange.crypto.jws import BadSignature
from exchange.sandbox.node.execution import Conflict, Execution
from exchange.sandbox.node.home import BadConfiguration, Home, Settings

ACTION = "execute"
MOST_ORDER = 4 << 20  # bytes
CONFLICT = "sluice: order_conflict"  # the words a client knows a conflict by
UNSIGNED = "sluice: order_unsigned"


class Server(flight.FlightServerBase):  # type: ignore[misc]
    """`execute`: the body is an order's JWS; the results are the release's JWS and the result's bytes.

    Every judgement on an order is a signed release. Only what cannot be answered with one is an error: an
    order nobody we know has signed (unauthenticated), or another order under an id that is taken.
    """

    def __init__(self, home: Home, settings: Settings, port: int, execution: Execution) -> None:
        certificates = None
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        try:
            if settings.tls_certificate:
                paths = (home.root / settings.tls_certificate, home.root / settings.tls_key)
                certificates = [tuple(path.read_bytes() for path in paths)]
            scheme = "grpc+tls" if certificates else "grpc+tcp"
            super().__init__(f"{scheme}://{host}:{port}", tls_certificates=certificates)
        except (OSError, pa.ArrowException) as error:
            raise BadConfiguration(f"cannot listen on {settings.listen}: {error}") from error
        self._execution = execution

    def do_action(self, context: flight.ServerCallContext, action: flight.Action) -> Iterator[flight.Result]:
        if action.type != ACTION or action.body.size > MOST_ORDER:
            raise flight.FlightServerError("sluice: no such action")
        try:
            order, release, result = self._execution.answer(action.body.to_pybytes().decode("ascii"))
        except (BadSignature, UnicodeDecodeError):
            raise flight.FlightUnauthenticatedError(UNSIGNED) from None
        except Conflict:
            raise flight.FlightServerError(CONFLICT) from None
        except sqlite3.Error as error:  # the disk failed: nothing is promised, nothing is sent
            print(f"sluice gate: journal: {error}", file=sys.stderr, flush=True)
            raise flight.FlightUnavailableError("sluice: journal") from None
        yield flight.Result(pa.py_buffer(release.encode()))
        yield flight.Result(pa.py_buffer(result))
        sys.audit("sluice.gate.sent", order)

    def list_actions(self, context: flight.ServerCallContext) -> list[tuple[str, str]]:
        return [(ACTION, "run a signed order")]
