"""Whether whoever has taken over a process of the node gets out of it: the attempts of tests/sandbox/inmate.py."""

from tests.attacks.conftest import Write
from tests.sandbox import test_confinement as inside
from tests.sandbox.inmate import DID_IT


def test_engine_escape(board: Write) -> None:
    """Files, sockets, programs, other processes, their memory, io_uring, namespaces: how many attempts succeed that
    are not the process's own task? Calls without arguments fail anywhere; the control has only those that do not."""
    tried = inside.tried()
    did = [tried["free"][name] == DID_IT for name in inside.FREELY]
    board("control, not locked in", sum(did) / len(did), chance=0, trials=len(did), at_least=1)
    for kind in inside.KINDS:
        out = [said == DID_IT for name, said in tried[kind].items() if name not in inside.MAY[kind]]
        board(kind, sum(out) / len(out), chance=0, trials=len(out), at_most=0)
