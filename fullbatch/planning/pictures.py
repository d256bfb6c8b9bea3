"""Pictures: how many a request may bring, from where, and what the engine and the gateway are told of it. Pure.

A model that sees keeps room for one picture of the largest size that it takes. Who sends none leaves out what sees, and
who sends some names how many: then each is as large as half of the context allows.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isqrt
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, JsonValue

from fullbatch.catalog.sight import Sight

# The largest picture that is planned for, where a number of them is named: 1,024 pixels square of Qwen's.
_MOST_SIDES = 32
# The smallest that is of use: of Qwen's 256 pixels square, below which its processor does not go.
_LEAST_SIDES = 8
_DOMAIN = re.compile(r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)+")
_FLAGS = ("language-model-only", "limit-mm-per-prompt", "mm-processor-kwargs")
ABOUT = "pictures that one request may bring; off: none, and what sees is not loaded (default: as the engine)"
ABOUT_DOMAINS = "hosts that the engine may fetch pictures and the like from; else they come as data URLs only"


def _count(value: Any) -> Any:
    if value is False or value == "off":  # YAML reads a bare off as false
        return 0
    return value


def _domain(text: str) -> str:
    if not _DOMAIN.fullmatch(text):
        raise ValueError(f"'{text[:80]}' is no host's name; write one in small letters, such as images.example.org")
    if text.rpartition(".")[2].isdigit():
        raise ValueError(f"'{text}' is an address; write a host's name")
    return text


Count = Annotated[int, BeforeValidator(_count, json_schema_input_type=int | str | bool), Field(ge=0, le=64)]
Domains = list[Annotated[str, AfterValidator(_domain)]]


@dataclass(frozen=True)
class PicturePlan:
    """`most` in one request, None: as many as the gateway takes. `tokens`: of one at most. `side`: pixels of a token's
    square, 0: all cost the same. `width`: the largest that is planned for, pixels, 0: any."""

    most: int | None
    tokens: int
    side: int = 0
    width: int = 0

    def settings(self) -> dict[str, int]:
        """As the gateway is told."""
        found = {"most": self.most, "tokens": self.tokens, "side": self.side or None}
        return {name: value for name, value in found.items() if value is not None}


def plan(sight: Sight | None, most: int | None, context: int, name: str) -> PicturePlan | None:
    """What is planned for a model called `name`; None for one that sees nothing. ValueError for what cannot be."""
    if sight is None:
        if most:
            raise ValueError(f"pictures: nothing is known of {name} that sees; remove this, or take another model")
        return None
    if not most:
        return PicturePlan(most, sight.tokens, sight.side)
    each = context // 2 // most
    least = _LEAST_SIDES**2 if sight.scaled else 1 if sight.side else sight.tokens
    if each < least:
        raise ValueError(
            f"pictures: {most} of at least {least} tokens each do not fit half of the context of {context}; write at "
            f"most {context // 2 // least}, or raise context"
        )
    if not sight.scaled:
        return PicturePlan(most, sight.tokens, sight.side)
    sides = min(isqrt(each), _MOST_SIDES)
    return PicturePlan(most, sides * sides, sight.side, sides * sight.side)


def chosen(planned: PicturePlan | None, domains: Sequence[str]) -> list[tuple[str, JsonValue, str]]:
    """The flags that they need, each with its reason."""
    found: list[tuple[str, JsonValue, str]] = []
    if planned and planned.most == 0:
        found.append(
            ("language-model-only", True, "pictures: off: what sees is not loaded, and leaves its memory free")
        )
    elif planned and planned.most:
        size = {"width": planned.width, "height": planned.width} if planned.width else {}
        limit: JsonValue = {"image": {"count": planned.most, **size}, "video": 0}
        found.append(("limit-mm-per-prompt", limit, "pictures: so many in a request, and no video"))
        if planned.width:
            why = f"a larger picture is made smaller: {planned.tokens} tokens at most, for half of the context"
            found.append(("mm-processor-kwargs", {"max_pixels": planned.width**2}, why))
    if domains:
        found.append(("allowed-media-domains", list(domains), "media_domains: no other host is asked"))
    return found


def refuse(most: int | None, domains: Sequence[str], args: Mapping[str, Any]) -> None:
    """ValueError for flags that say the same otherwise."""
    flags = _FLAGS if most is not None else ()
    for flag in (*flags, *(("allowed-media-domains",) if domains else ())):
        if any(name.split(".")[0] == flag for name in args):
            setting = "media_domains" if flag == "allowed-media-domains" else "pictures"
            raise ValueError(f"engine.args.{flag}: {setting} says it; remove one of them")


def unsized(sight: Sight | None, most: int | None) -> list[str]:
    """What is not counted, in sentences."""
    if sight is None and most == 0:
        return [
            "pictures: off does nothing: nothing is known of this model that sees (engine.args.language-model-only)"
        ]
    if sight is None or most == 0:
        return []
    found = ["what sees takes memory in a step with a picture that is not counted; pictures: off leaves it out"]
    if not sight.known:
        found.append(f"what a picture costs this model is not known here: {sight.tokens} tokens are taken")
    return found
