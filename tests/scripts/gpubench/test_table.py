"""The tables made of results."""

from __future__ import annotations

from pathlib import Path

from scripts.gpubench import matrix, table

RESULTS = Path(__file__).resolve().parents[3] / "docs" / "results"


def test_the_published_tables_are_what_the_published_data_say() -> None:
    for folder in sorted(path.parent for path in RESULTS.glob("*/matrix.yaml")):
        made = table.markdown(matrix.read(folder / "matrix.yaml"), folder)
        assert made in (RESULTS / f"{folder.name}.md").read_text(encoding="utf-8")
