"""CycloneDX lists of what is inside: the wheel with what it asks for, and each image with what its lock pins.

The same commit gives the same bytes: time and serial number come from it.
"""

from __future__ import annotations

import datetime
import json
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

from scripts.releasing import licences, locks
from scripts.releasing.licences import IMAGES, Licensed
from scripts.releasing.locks import Pin


class InvalidSbom(Exception):
    """What CycloneDX's own schema says of it."""


def all_of(root: Path, version: str, commit_time: int, packages: Mapping[str, Licensed]) -> dict[str, str]:
    """File name -> text, for the wheel and each image.

    Raises:
        InvalidSbom
    """
    subjects = {"": "run"} | {f"-{image}-image": image for image in IMAGES}
    found = {}
    for suffix, lock in subjects.items():
        kind = ComponentType.CONTAINER if suffix else ComponentType.APPLICATION
        subject = Component(name=f"fullbatch{suffix}", version=version, type=kind, bom_ref=f"fullbatch{suffix}")
        text = _text(subject, locks.read(root / "requirements" / f"{lock}.txt"), commit_time, packages)
        found[f"fullbatch-{version}{suffix}.cdx.json"] = text
    return found


def _text(subject: Component, pins: Sequence[Pin], commit_time: int, packages: Mapping[str, Licensed]) -> str:
    bom = Bom(serial_number=uuid.uuid5(uuid.NAMESPACE_URL, f"{subject.name}@{subject.version}@{commit_time}"))
    bom.metadata.timestamp = datetime.datetime.fromtimestamp(commit_time, datetime.UTC)
    subject.licenses.add(LicenseFactory().make_from_string("Apache-2.0"))
    bom.metadata.component = subject
    components = [_component(pin, packages) for pin in pins]
    bom.components.update(components)
    bom.register_dependency(subject, components)
    text = JsonV1Dot6(bom).output_as_string(indent=2)
    text = json.dumps(_in_order(json.loads(text)), indent=2, ensure_ascii=False) + "\n"
    fault = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    if fault is not None:
        raise InvalidSbom(f"{subject.name}: CycloneDX's schema refuses it: {str(fault).splitlines()[0]}")
    return text


def _component(pin: Pin, packages: Mapping[str, Licensed]) -> Component:
    url = PackageURL("pypi", name=pin.name, version=pin.version)
    licensed = packages.get(pin.name)
    expression = licensed.expression if licensed else licences.read(pin).expression
    return Component(
        name=pin.name,
        version=pin.version,
        type=ComponentType.LIBRARY,
        purl=url,
        bom_ref=str(url),
        licenses=[LicenseFactory().make_from_string(expression)],
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=one) for one in pin.hashes],
    )


def _in_order(value: Any) -> Any:
    """Keys sorted, so that two runs agree."""
    if isinstance(value, dict):
        return {key: _in_order(value[key]) for key in sorted(value)}
    return [_in_order(each) for each in value] if isinstance(value, list) else value
