"""Every package of the images has a licence that somebody has read."""

from __future__ import annotations

from email.message import Message
from pathlib import Path

import pytest

from scripts.releasing import licences
from scripts.releasing.locks import Pin

ROOT = Path(__file__).resolve().parents[3]


def said(**fields: str) -> Message:
    message = Message()
    for name, value in fields.items():
        message[name.replace("_", "-")] = value
    return message


@pytest.mark.parametrize(
    ("fields", "expression"),
    [
        ({"License_Expression": "MIT AND PSF-2.0"}, "MIT AND PSF-2.0"),
        ({"License": "MIT License\n\nCopyright"}, "MIT"),
        ({"Classifier": "License :: OSI Approved :: Apache Software License"}, "Apache-2.0"),
    ],
)
def test_it_is_told_by_newer_and_older_metadata(fields: dict[str, str], expression: str) -> None:
    assert licences.expression_of("x", said(**fields)) == expression


@pytest.mark.parametrize(
    "fields",
    [
        {"License_Expression": "GPL-3.0-or-later"},
        {"License_Expression": "MIT AND LicenseRef-Own"},
        {"License": "as is"},
        {"Classifier": "License :: OSI Approved :: BSD License"},  # which of them?
        {},
    ],
)
def test_an_unknown_one_is_refused_in_one_line(fields: dict[str, str]) -> None:
    with pytest.raises(licences.UnknownLicence, match="^x: its licence is '.*', which is none of KNOWN"):
        licences.expression_of("x", said(**fields))


def test_a_package_that_is_not_here_in_that_version_is_refused() -> None:
    with pytest.raises(licences.UnknownLicence, match="the lock has 0.0.1; run scripts/setup dev"):
        licences.read(Pin("pydantic", "0.0.1", ()))
    with pytest.raises(licences.UnknownLicence, match="is not installed here"):
        licences.read(Pin("no-such-package", "1", ()))


def test_the_page_is_current_and_has_each_text_once() -> None:
    assert not licences.stale(ROOT), "run scripts/release --licences"
    text = (ROOT / licences.PAGE).read_text()
    assert text.count("Mozilla Public License Version 2.0") <= 5
    for name, one in licences.of_images(ROOT).items():
        assert f"{name} {one.pin.version}: {one.expression}" in text
        assert one.texts or name in licences.WITHOUT_TEXT
