"""What an admin may have done with a model that takes turns: read from JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from gateway.core.errors import BadRequest
from gateway.dialects.fields import read_object
from gateway.turns.desk import DEEDS, Deed

EXAMPLE = '{"do": "load", "name": "MODEL"}'


@dataclass(frozen=True, slots=True)
class ModelDeed:
    do: Deed
    name: str


def read(body: bytes | bytearray) -> ModelDeed:
    """Raises: BadRequest: not one of `turns.desk.DEEDS` with a model's name."""
    content = read_object(body, EXAMPLE)
    if unknown := sorted(content.keys() - {"do", "name"}):
        raise BadRequest(f"'{unknown[0][:100]}' is not known; write {EXAMPLE}", param=unknown[0][:100])
    do, name = content.get("do"), content.get("name")
    if do not in DEEDS:
        raise BadRequest(f"'do' is one of {', '.join(DEEDS)}", param="do")
    if not isinstance(name, str) or not name:
        raise BadRequest("'name' is the name of a model that takes turns", param="name")
    return ModelDeed(cast(Deed, do), name)
