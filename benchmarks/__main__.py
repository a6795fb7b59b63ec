"""`python -m benchmarks NAME [options]`: the last line printed is one JSON object, also in build/bench/NAME.json."""

import importlib
import json
import sys
from pathlib import Path

NAMES = ("gateway", "node")


def main() -> None:
    if len(sys.argv) < 2 or sys.argv[1] not in NAMES:
        raise SystemExit(f"usage: python -m benchmarks NAME; NAME is one of: {', '.join(NAMES)}")
    name = sys.argv[1]
    result = importlib.import_module(f"benchmarks.{name}").main(sys.argv[2:])
    path = Path("build/bench") / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result))


main()
