"""`python -m benchmarks NAME`: run one benchmark; its last line is one JSON object, also in build/bench/."""

import argparse
import importlib
import json
from pathlib import Path

FOLDER = Path(__file__).parent
NAMES = sorted(path.parent.name for path in FOLDER.glob("*/__init__.py"))


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("name", choices=NAMES)
    chosen, rest = parser.parse_known_args()
    figures = importlib.import_module(f"benchmarks.{chosen.name}").run(rest)
    line = json.dumps(figures, ensure_ascii=False)
    kept = FOLDER.parent / "build" / "bench" / f"{chosen.name}.json"
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_text(line + "\n")
    print(line, flush=True)


if __name__ == "__main__":
    main()
