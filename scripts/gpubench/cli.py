"""`scripts/gpu-bench`: the seed's table on a card, cell by cell."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from fullbatch import catalog
from fullbatch.core.errors import FullbatchError, HostError, UsageError
from fullbatch.runtime.base import Ports
from scripts.gpubench import matrix as matrices
from scripts.gpubench import models, plans, predict, run, table
from scripts.gpubench.matrix import Cell, Matrix, TurnsCell
from scripts.gpubench.sides import LlamaProgram
from scripts.gpubench.turns import table as turns_table
from scripts.gpubench.turns.run import RunningTurns

ROOT = Path(__file__).resolve().parents[2]


def main(argv: list[str] | None = None) -> int:
    args = _parser().parse_args(argv)
    began = time.monotonic()
    try:
        matrix = matrices.read(_matrix_file(args))
        cells, turns = _chosen(matrix, args.cells)
        if args.command == "list":
            print("".join([*(_line(matrix, cell) for cell in cells), *map(_turns_line, turns)]), end="")
            return 0
        if args.command == "table":
            print(_table(matrix, args.out), end="")
            return 0
        if args.command == "prepare":
            return _prepare(matrix, cells, turns, args)
        return _run(matrix, cells, turns, args, began)
    except FullbatchError as error:
        for line in str(error).splitlines():
            print(f"gpu-bench: {line}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("gpu-bench: interrupted; what was started is stopped, what was measured is kept", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/gpu-bench",
        description="Measure the research note's table on this machine's GPU: vLLM as planned, without flags, and "
        "with the note's flags; what its regression was; and llama.cpp as Ollama runs it. Start an interrupted run "
        "again with the same --out, and it continues where it stopped.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name, about in (
        ("list", "list the cells"),
        ("prepare", "write model directories and GGUF files"),
        ("run", "measure every cell that is not done yet"),
        ("table", "print what was measured beside what was predicted, as Markdown"),
    ):
        one = commands.add_parser(name, help=about)
        one.add_argument("cells", nargs="*", metavar="CELL", help="only these (default: all)")
        one.add_argument(
            "--matrix", type=Path, metavar="FILE", help="what to measure (default: that of --out, else ours)"
        )
        one.add_argument(
            "--models",
            type=_absolute,
            default=ROOT / ".fullbatch" / "models",
            metavar="DIR",
            help="folder of the models",
        )
        if name in ("run", "table"):
            one.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the results")
        if name == "run":
            one.add_argument(
                "--budget", type=float, default=1500.0, metavar="SECONDS", help="time for all cells (default: 1500)"
            )
            one.add_argument(
                "--llama", metavar="COMMAND", help="command of llama-server (default: leave its sides out)"
            )
            one.add_argument(
                "--gateway-port", type=int, default=8080, metavar="PORT", help="first gateway port (default: 8080)"
            )
            one.add_argument(
                "--engine-port", type=int, default=8100, metavar="PORT", help="first engine port (default: 8100)"
            )
            one.add_argument(
                "--without", default="", metavar="FLAG,FLAG", help="vLLM flags that this machine's engine does not have"
            )
    return parser


def _absolute(path: str) -> Path:
    """A model that is named by a path from here would be taken for one of the hub."""
    return Path(path).resolve()


def _matrix_file(args: argparse.Namespace) -> Path:
    """The matrix asked for; by default that of the results in --out, which has the cells they were made of."""
    kept = args.out / "matrix.yaml" if "out" in args else None
    found: Path = args.matrix or (kept if kept and kept.exists() else matrices.PLACE / "matrix.yaml")
    return found


def _chosen(matrix: Matrix, names: list[str]) -> tuple[list[Cell], list[TurnsCell]]:
    known = [*(cell.name for cell in matrix.cells), *(cell.name for cell in matrix.turns)]
    unknown = [name for name in names if name not in known]
    if unknown:
        raise UsageError(f"no such cell: {', '.join(unknown)}; there are: {', '.join(known)}")
    chosen = names or known
    cells = {cell.name: cell for cell in matrix.cells}
    return [cells[name] for name in chosen if name in cells], [cell for cell in matrix.turns if cell.name in chosen]


def _line(matrix: Matrix, cell: Cell) -> str:
    load = matrix.load_of(cell)
    users = ", ".join(map(str, load.users))
    return f"{cell.name:18}{cell.model:14}{', '.join(cell.sides):36}{users} at once, {load.repeats} times\n"


def _turns_line(cell: TurnsCell) -> str:
    about = f"in turns on the memory of {cell.card}, together on that of {cell.together_card}"
    return f"{cell.name:18}{', '.join(cell.models):30}{about}; {cell.people} people for {cell.seconds:.0f} s\n"


def _prepare(matrix: Matrix, cells: list[Cell], turns: list[TurnsCell], args: argparse.Namespace) -> int:
    args.models.mkdir(parents=True, exist_ok=True)
    for name in dict.fromkeys(cell.model for cell in cells):
        wanted = any(matrix.sides[side].is_llama for cell in cells if cell.model == name for side in cell.sides)
        models.write(args.models, name, matrix.models[name].repository, wanted)
        sides = [side for cell in cells if cell.model == name for side in [*cell.sides, *cell.refused]]
        for repository in dict.fromkeys(matrix.checkpoint(name, side) for side in sides):
            models.write(args.models, name, repository, quantised=False)
        print(f"{models.directory(args.models, name)}", flush=True)
    for name in dict.fromkeys(name for one in turns for name in one.models):
        models.write(args.models, name, matrix.models[name].repository, quantised=False)
        print(f"{models.directory(args.models, name)}", flush=True)
    return 0


def _run(matrix: Matrix, cells: list[Cell], turns: list[TurnsCell], args: argparse.Namespace, began: float) -> int:
    args.out.mkdir(parents=True, exist_ok=True)
    if not (args.out / "matrix.yaml").exists():
        shutil.copy(_matrix_file(args), args.out / "matrix.yaml")
    limits = _limits(args.out) if matrix.plans_for or turns else None
    here = plans.Here(
        limits["memory_gib"] if limits else None, args.models, frozenset(filter(None, args.without.split(",")))
    )
    llama = LlamaProgram(tuple(shlex.split(args.llama)), dict(os.environ)) if args.llama else None
    _predictions(matrix, cells, here, args.out, limits)

    def say(text: str) -> None:
        print(f"[{time.monotonic() - began:6.1f} s] {text}", flush=True)

    ports = Ports(args.gateway_port, args.engine_port)
    options = run.BenchOptions(ROOT, args.out.resolve(), here, llama, began + args.budget, say, ports)
    missing = run.RunningSides(matrix, options).run(cells)
    missing += sum(not RunningTurns(matrix, cell, options).run() for cell in turns)
    whole = len(cells) + len(turns)
    say(f"{whole - missing} of {whole} cells are done; results: {args.out}")
    return 1 if missing else 0


def _table(matrix: Matrix, out: Path) -> str:
    if not (out / "predictions.json").exists():
        raise UsageError(f"--out {out}: no results there; `run` writes them")
    found = [line for cell in matrix.turns for line in turns_table.markdown(cell, out)]
    return table.markdown(matrix, out) + "\n".join(["", *found] if found else [])


def _limits(out: Path) -> dict[str, Any]:
    """What the card reaches, measured once."""
    path = out / "limits.json"
    if not path.exists():
        done = subprocess.run(
            [sys.executable, "-m", "scripts.gpubench.limits"], cwd=ROOT, capture_output=True, text=True, check=False
        )
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise HostError(f"PyTorch finds no card to measure: {last}")
        path.write_text(done.stdout, encoding="utf-8")
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _predictions(matrix: Matrix, cells: list[Cell], here: plans.Here, out: Path, limits: dict[str, Any] | None) -> None:
    """Written before a cell is measured, and never again; a later call adds the cells that it asks for."""
    path = out / "predictions.json"
    card = predict.card_named(limits["card"]) if limits else None
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    for cell in cells:
        if cell.name in found:
            continue
        load = matrix.load_of(cell)
        model = catalog.models()[matrix.models[cell.model].repository]
        sides: dict[str, Any] = {}
        for name in [*cell.sides, *cell.refused]:
            side = matrix.sides[name]
            sides[name], engine = {}, None
            if not side.is_llama:
                planned = plans.make(matrix, cell.model, name, here)
                engine = planned.plan.engines[0]
                sides[name] = {"kv_tokens": planned.plan.capacity.kv_tokens, "refusal": planned.refusal}
            if card and name in cell.sides and cell.workload == "seed":
                served = predict.Served(model, card, side, engine)
                said = {str(n): predict.predict(served, load, n) for n in load.users}
                sides[name]["users"] = {users: one.as_json() for users, one in said.items() if one}
        found[cell.name] = sides
    path.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
