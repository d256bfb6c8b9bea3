"""Licences of the packages that the images hold, read from the same packages in .venv; an unknown one is refused."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from email.message import Message
from importlib import metadata
from pathlib import Path
from typing import cast

from scripts.releasing import locks
from scripts.releasing.locks import Pin

IMAGES = ("gateway", "loadtest")
PAGE = Path("docs/licences.txt")
# Licences that we have read and may ship under, by their SPDX names.
KNOWN = frozenset(
    {
        "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "MIT-0", "MPL-2.0", "PSF-2.0", "ZPL-2.1",
        "LGPL-3.0-only",  # psycopg: imported as it is, so that it can be replaced; its text is in the page
    }
)  # fmt: skip
# What older metadata says instead.
_SAID = {
    "MIT License": "MIT",
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache Software License": "Apache-2.0",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
}
# Packages whose wheel brings no text: which they mean stands in their metadata, where the text is in their source.
WITHOUT_TEXT = {
    "flask-cors": "LICENSE of its source distribution",
    "tokenizers": "LICENSE of its repository",
}
# What we have read where metadata says only "BSD License": three clauses.
_READ = {"itsdangerous": "BSD-3-Clause", "jinja2": "BSD-3-Clause"}
_TEXT_FILE = re.compile(r"\.dist-info/(.*/)?[^/]*(licen[cs]e|copying|notice)[^/]*$", re.IGNORECASE)
_HEAD = """\
Licences of the packages that our images hold beside Python and Debian, whose own lie in /usr/share/doc of the base
image: each package with its licence, and then every text once. Written by `scripts/release --licences`.
"""


class UnknownLicence(Exception):
    """A package and what it says of itself."""


@dataclass(frozen=True)
class Licensed:
    """A pinned package, its licence as an SPDX expression, and the texts that it brings, by file name."""

    pin: Pin
    expression: str
    texts: dict[str, str]


def of_images(root: Path) -> dict[str, Licensed]:
    """Every package of the images, by name.

    Raises:
        UnknownLicence: one line for each package.
    """
    pins = {pin.name: pin for image in IMAGES for pin in locks.read(root / "requirements" / f"{image}.txt")}
    found, faults = {}, []
    for name, pin in sorted(pins.items()):
        try:
            found[name] = read(pin)
        except UnknownLicence as fault:
            faults.append(str(fault))
    if faults:
        raise UnknownLicence("\n".join(faults))
    return found


def read(pin: Pin) -> Licensed:
    """From the package as it is installed here.

    Raises:
        UnknownLicence: it is not, in this version; it names no licence, one that nobody has read, or brings no text.
    """
    try:
        installed = metadata.distribution(pin.name)
    except metadata.PackageNotFoundError:
        raise UnknownLicence(f"{pin.name}: is not installed here; run scripts/setup dev") from None
    if installed.version != pin.version:
        raise UnknownLicence(
            f"{pin.name}: {installed.version} is installed here, the lock has {pin.version}; run scripts/setup dev"
        )
    expression = expression_of(pin.name, cast(Message, installed.metadata))
    texts = {
        str(file).partition(".dist-info/")[2]: Path(str(installed.locate_file(file))).read_text("utf-8", "replace")
        for file in installed.files or ()
        if _TEXT_FILE.search(str(file))
    }
    if not texts and pin.name not in WITHOUT_TEXT:
        raise UnknownLicence(f"{pin.name}: brings no text of its licence; find it, and add a row to WITHOUT_TEXT")
    return Licensed(pin, expression, texts)


def expression_of(name: str, said: Message) -> str:
    """Its SPDX expression: its own, else what its older fields mean.

    Raises:
        UnknownLicence
    """
    own = str(said.get("License-Expression") or "")
    short = str(said.get("License") or "").strip().partition("\n")[0].strip()
    classes = [
        str(each).rpartition(" :: ")[2] for each in said.get_all("Classifier") or () if "License ::" in str(each)
    ]
    for one in (own, _SAID.get(short, short), *(_SAID.get(each, "") for each in classes), _READ.get(name, "")):
        if one and all(word in KNOWN for word in _names(one)):
            return one
    told = own or short or ", ".join(classes) or "nothing"
    raise UnknownLicence(f"{name}: its licence is '{told[:80]}', which is none of KNOWN; read it, and add it if we may")


def page(packages: Iterable[Licensed]) -> str:
    """The page with all of them."""
    rows: list[str] = []
    texts: dict[str, str] = {}
    users: dict[str, list[str]] = {}
    for one in packages:
        where = "" if one.texts else f" ({WITHOUT_TEXT[one.pin.name]})"
        rows.append(f"{one.pin.name} {one.pin.version}: {one.expression}{where}")
        for file, text in one.texts.items():
            key = hashlib.sha256(" ".join(text.split()).encode()).hexdigest()
            texts.setdefault(key, "\n".join(line.rstrip() for line in text.strip().splitlines()))
            users.setdefault(key, []).append(f"{one.pin.name} ({file})")
    parts = [f"{'=' * 100}\n{', '.join(users[key])}\n{'=' * 100}\n\n{text}\n" for key, text in texts.items()]
    return "\n".join([_HEAD, "\n".join(rows) + "\n", *parts])


def stale(root: Path) -> bool:
    """Whether the page is not what the locks make of it.

    Raises:
        UnknownLicence
    """
    try:
        here = (root / PAGE).read_text(encoding="utf-8")
    except OSError:
        here = ""
    return here != page(of_images(root).values())


def _names(expression: str) -> list[str]:
    return [word for word in re.findall(r"[\w.+-]+", expression) if word not in ("AND", "OR")]
