"""`scripts/release`."""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from common.version import VERSION
from scripts.releasing import audit, build, checks, licences, sbom

ROOT = Path(__file__).resolve().parents[2]
DIST = Path("dist")
# What our exit codes mean everywhere: done, refused, a mistake on the command line.
OK, REFUSED = 0, 1


def main(words: Sequence[str]) -> int:
    """Check, build, and with --make tag; an exit code."""
    args = _parser().parse_args(words)
    if args.licences:
        return _write_licences()
    if args.test:
        return checks.run_tests(ROOT)
    refused = checks.refusals(ROOT, VERSION)
    for line in refused:
        _say(f"refused: {line}")
    if not _audited(args.unaudited) or refused:
        return REFUSED
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    with tempfile.TemporaryDirectory(prefix="fullbatch-release-") as folder:
        try:
            files = _files(commit.strip(), Path(folder))
        except (build.CannotBuild, sbom.InvalidSbom, licences.UnknownLicence) as fault:
            _say(f"refused: {fault}")
            return REFUSED
        for path in files:
            _say(f"{path.name}: {path.stat().st_size:,} bytes")
        if not args.make:
            _say(f"all of {VERSION} is in order; nothing was made or tagged. To do it: scripts/release --make")
            return OK
        return _make(commit.strip(), files)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/release",
        description=f"Check whether {VERSION} (common/version.py) can be released; nothing is kept.",
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--make", action="store_true", help="then tag it, and put its files into dist/")
    what.add_argument("--test", action="store_true", help="run scripts/test, and remember on which commit all was good")
    what.add_argument("--licences", action="store_true", help=f"write {licences.PAGE} from the locks of the images")
    parser.add_argument(
        "--unaudited", action="store_true",
        help="go on where the list of known holes cannot be asked, and say so; a hole that is found still refuses",
    )  # fmt: skip
    return parser


def _audited(unaudited: bool) -> bool:
    """Whether to go on."""
    found = audit.audit(ROOT)
    for hole in found.holes:
        _say(f"refused: a known hole: {hole}; raise the version in pyproject.toml, and run scripts/lock")
    for line in found.unasked:
        _say(f"{'NOT AUDITED' if unaudited else 'refused: not audited'}: {line}")
    if found.unasked and not unaudited:
        _say("to release without knowing, add --unaudited")
    return not found.holes and (unaudited or not found.unasked)


def _files(commit: str, scratch: Path) -> list[Path]:
    out = scratch / "out"
    files = build.build(ROOT, commit, scratch, out)
    build.install(ROOT, files[0], scratch)
    packages = licences.of_images(ROOT)
    for name, text in sbom.all_of(ROOT, VERSION, build.commit_time(ROOT), packages).items():
        (out / name).write_text(text, encoding="utf-8")
        files.append(out / name)
    sums = "".join(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in sorted(files))
    (out / "SHA256SUMS").write_text(sums, encoding="ascii")
    return [*sorted(files), out / "SHA256SUMS"]


def _make(commit: str, files: list[Path]) -> int:
    """The tag is of what was built, whatever was committed meanwhile; without a tag no files stay."""
    dist = ROOT / DIST
    dist.mkdir(exist_ok=True)
    there = [path.name for path in files if path.name != "SHA256SUMS" and (dist / path.name).exists()]
    if there:
        _say(f"refused: {DIST}/{there[0]} is there already; remove what is in {DIST}/")
        return REFUSED
    for path in files:
        (dist / path.name).write_bytes(path.read_bytes())
    tagged = subprocess.run(
        ["git", "tag", "--annotate", f"v{VERSION}", "--message", f"Fullbatch {VERSION}", commit],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if tagged.returncode:
        for path in files:
            (dist / path.name).unlink()
        _say(f"refused: git could not tag it: {tagged.stderr.strip()}")
        return REFUSED
    _say(f"made: {DIST}/ and the tag v{VERSION}; publish them with: git push origin v{VERSION}")
    return OK


def _write_licences() -> int:
    try:
        text = licences.page(licences.of_images(ROOT).values())
    except licences.UnknownLicence as fault:
        for line in str(fault).splitlines():
            _say(f"refused: {line}")
        return REFUSED
    (ROOT / licences.PAGE).write_text(text, encoding="utf-8")
    _say(f"wrote {licences.PAGE}")
    return OK


def _say(line: str) -> None:
    sys.stdout.write(f"release: {line}\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
