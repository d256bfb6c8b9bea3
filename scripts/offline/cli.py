"""`scripts/docker-engine` and `scripts/offline-images`: the only module here that prints and exits."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from scripts.offline import engine, images
from scripts.offline.process import OfflineError

ROOT = Path(__file__).resolve().parents[2]
ENGINE_HELP = """\
Finds a usable Docker Engine (Engine 25, Compose 2.32.2, buildx 0.17) or, as root on Debian or Ubuntu, starts one that
is private to this checkout, under .fullbatch/docker.

  scripts/docker-engine start          find or start it
  eval "$(scripts/docker-engine env)"  let this shell's `docker` use it
  scripts/docker-engine stop           stop the one that was started here; images and volumes stay
"""
IMAGES_HELP = """\
Builds stand-ins for the public base images under the same names, from packages of Debian and PyPI, for machines that
cannot reach a container registry. docs/air-gapped.md says how a stand-in differs from the public image.
"""


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    parsed = _parser().parse_args(arguments)
    place = engine.EngineHome(ROOT)
    try:
        if parsed.program == "docker-engine":
            _engine(place, parsed.verb)
        else:
            _images(place, parsed)
    except OfflineError as error:
        say(f"scripts/{parsed.program}: {error}")
        return 1
    except KeyboardInterrupt:
        say(f"scripts/{parsed.program}: stopped")
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scripts")
    programs = parser.add_subparsers(dest="program", required=True)
    form = argparse.RawDescriptionHelpFormatter
    of_engine = programs.add_parser("docker-engine", description=ENGINE_HELP, formatter_class=form)
    of_engine.prog = "scripts/docker-engine"
    of_engine.add_argument("verb", choices=["start", "stop", "env"])
    of_images = programs.add_parser("offline-images", description=IMAGES_HELP, formatter_class=form)
    of_images.prog = "scripts/offline-images"
    of_images.add_argument("--list", action="store_true", help="list the stand-ins, and which are built")
    of_images.add_argument("--only", metavar="NAME", help="build only this one (and what it is based on)")
    of_images.add_argument(
        "--force", action="store_true", help="build again, even over an image of that name that is not ours"
    )
    return parser


def _engine(place: engine.EngineHome, verb: str) -> None:
    if verb == "stop":
        engine.stop(place, say)
        return
    if verb == "start":
        engine.start(place, say)
        return
    if not place.environment.exists():
        raise OfflineError("no engine was started for this checkout; run scripts/docker-engine start")
    for key, value in engine.saved_environment(place).items():
        print(
            f'export PATH={shlex.quote(place.programs)}:"$PATH"'
            if key == "PATH"
            else f"export {key}={shlex.quote(value)}"
        )


def _images(place: engine.EngineHome, parsed: argparse.Namespace) -> None:
    if parsed.list:
        for line in images.Builder(place, engine.saved_environment(place), say).listing():
            print(line)
        return
    if parsed.only:
        images.chosen(parsed.only)
    images.Builder(place, engine.start(place, say), say).build(only=parsed.only, force=parsed.force)


if __name__ == "__main__":
    sys.exit(main())
