"""Check a receipt or a published log from the command line.

    python -m exchange.audit.verify RECEIPT.jws --proof RECEIPT.tlog-proof --vkey log.vkey --jwks jwks.json
    python -m exchange.audit.verify --log FOLDER_OR_URL --vkey log.vkey

Without --jwks, a jwks.json beside the receipt is used.
Exit status: 0 all of it holds, 1 something does not, 2 the question or its files could not be read.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from .log import check_log, opener
from .note import LogKey, read_vkey
from .receipt import check_receipt
from .text import Failed, need, read_json


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m exchange.audit.verify",
        description="Check a receipt with its proof, or a whole published log, against the log's key.",
    )
    parser.add_argument("receipt", nargs="?", type=Path, help="the receipt, a compact JWS")
    parser.add_argument("--proof", type=Path, help="its .tlog-proof")
    parser.add_argument("--jwks", type=Path, help="the exchange's public keys (/.well-known/jwks.json)")
    parser.add_argument("--vkey", type=Path, required=True, help="the log's verifier key (/log.vkey)")
    parser.add_argument("--log", metavar="FOLDER_OR_URL", help="a published log to recompute")
    given = parser.parse_args(arguments)
    if bool(given.receipt) == bool(given.log) or bool(given.receipt) != bool(given.proof):
        parser.error("give a receipt with --proof, or --log")
    if given.receipt and not given.jwks and not (given.receipt.parent / "jwks.json").exists():
        parser.error("the receipt's signature cannot be checked: give --jwks, or lay jwks.json beside it")
    try:
        log = read_vkey(text_of(given.vkey))
        for sentence in check_log(opener(given.log), log) if given.log else receipt(given, log):
            print(shown(f"ok      {sentence}"), flush=True)
    except Failed as failure:
        print(shown(f"FAILED  {failure}"))
        return 1
    except (OSError, UnicodeError) as error:
        print(shown(f"cannot read: {error}"), file=sys.stderr)
        return 2
    print("verified")
    return 0


def receipt(given: argparse.Namespace, log: LogKey) -> Iterator[str]:
    jwks = read_json((given.jwks or given.receipt.parent / "jwks.json").read_bytes(), "the key set")
    need(isinstance(jwks, dict) and isinstance(jwks.get("keys"), list), "the key set has no keys")
    need(all(isinstance(key, dict) for key in jwks["keys"]), "the key set has malformed keys")
    return check_receipt(text_of(given.receipt), text_of(given.proof), log, jwks)


def text_of(path: Path) -> str:
    """The file as it is: neither the locale nor another system's line ends have a say."""
    return path.read_bytes().decode()


def shown(text: str) -> str:
    """What comes from a file must not speak to the terminal."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)


if __name__ == "__main__":
    sys.exit(main())
