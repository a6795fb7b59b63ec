"""`python -m exchange.sandbox`: make a node's home, run it, take data in, stop it, mend its journal, describe it."""

import argparse
import os
import sys
from pathlib import Path

from exchange.sandbox.node import adopting, describe, home, launcher, stops, taking_in
from exchange.sandbox.node.confine import CannotConfine
from exchange.sandbox.node.home import BadConfiguration, Home


def main(arguments: list[str] | None = None) -> int:
    """The exit code; misconfiguration is one sentence on stderr and EX_CONFIG (78)."""
    options = _parser().parse_args(arguments)
    at = Home(options.home)
    try:
        match options.command:
            case "init":
                home.create(at, options.name, options.listen, dict(options.exchange))
            case "run":
                launcher.run(at)
            case "intake":
                return taking_in.start(at, options.resource, options.file, options.schema, options.append)
            case "stop":
                stops.stop(at, options.resource)
            case "resume":
                stops.resume(at, options.resource)
            case "adopt":
                print("\n".join(adopting.adopt(at)) or "the journal lacks nothing that the node knows of")
            case "describe":
                print(describe.text(at))
    except (BadConfiguration, CannotConfine) as error:
        print(f"sluice: {error}", file=sys.stderr)
        return os.EX_CONFIG
    except launcher.Misconfigured as error:
        print(f"sluice: the {error} cannot run; its line above says why", file=sys.stderr)
        return os.EX_CONFIG
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m exchange.sandbox", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    found = {}
    for name, says in (
        ("init", "make a node's home folder"),
        ("run", "run the node until SIGTERM"),
        ("intake", "take a file in as the new snapshot of a resource"),
        ("stop", "answer no more queries, of a resource or at all, from now on"),
        ("resume", "take a stop back"),
        ("adopt", "enter what a journal that was restored from a backup has forgotten"),
        ("describe", "say what the node is and offers, as JSON"),
    ):
        found[name] = commands.add_parser(name, help=says, description=says)
        found[name].add_argument("home", type=Path, metavar="HOME")
    found["init"].add_argument("--name", required=True)
    found["init"].add_argument("--listen", default=home.DEFAULT_LISTEN, metavar="ADDRESS:PORT")
    found["init"].add_argument("--exchange", type=_exchange, action="append", default=[], metavar="NAME=X",
                               help="an exchange and the x of its public Ed25519 JWK")  # fmt: skip
    for name in ("stop", "resume"):
        found[name].add_argument("resource", nargs="?", default=stops.EVERYTHING, help="all of them if not given")
    found["intake"].add_argument("resource")
    found["intake"].add_argument("file", type=Path)
    found["intake"].add_argument("--schema", type=Path, required=True)
    found["intake"].add_argument("--append", action="store_true",
                                 help="add the file's rows to those of the snapshot in service")  # fmt: skip
    return parser


def _exchange(text: str) -> tuple[str, str]:
    name, equals, x = text.partition("=")
    if not (name and equals and x):
        raise argparse.ArgumentTypeError("NAME=X")
    return name, x


if __name__ == "__main__":
    sys.exit(main())
