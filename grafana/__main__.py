"""`python -m grafana` writes grafana/generated/*.json; `--check` writes nothing and exits 1 if a file is stale."""

import argparse
import json
import sys
from pathlib import Path

from grafana.dashboards import ALL

GENERATED = Path(__file__).parent / "generated"


def generated_files() -> dict[str, str]:
    """File name -> text, for every dashboard."""
    return {f"{board.uid}.json": json.dumps(board.to_json(), indent=2, ensure_ascii=False) + "\n" for board in ALL}


def stale(folder: Path) -> list[str]:
    """Names of files that are missing, differ, or belong to no dashboard any more."""
    wanted = generated_files()
    present = {path.name: path.read_text() for path in folder.glob("*.json")}
    return sorted(name for name in wanted.keys() | present.keys() if wanted.get(name) != present.get(name))


def write(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    wanted = generated_files()
    for path in folder.glob("*.json"):
        if path.name not in wanted:
            path.unlink()
    for name, text in wanted.items():
        (folder / name).write_text(text)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m grafana", description="Generate Grafana's dashboards.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a generated file is stale")
    parser.add_argument("--out", type=Path, default=GENERATED, help="folder of the JSON files")
    arguments = parser.parse_args()
    changed = stale(arguments.out)
    if not arguments.check:
        write(arguments.out)
        print(f"{arguments.out}: {len(ALL)} dashboards, {len(changed)} changed")
        return 0
    for name in changed:
        print(f"{arguments.out / name}: stale; run python -m grafana and commit the result", file=sys.stderr)
    return 1 if changed else 0


if __name__ == "__main__":
    sys.exit(main())
