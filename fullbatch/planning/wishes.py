"""What a profile may say of tools and thinking: a word, or the name of one of the engine's parsers."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

_PARSER = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"


def _plain_off(value: Any) -> Any:
    """`off` without quotes is false to YAML, and `on` is true."""
    return {True: "auto", False: "off"}[value] if isinstance(value, bool) else value


def _plain_on_or_off(value: Any) -> Any:
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else value


Tools = Annotated[
    str,
    BeforeValidator(_plain_off),
    Field(
        pattern=_PARSER,
        description="auto: as the model's family does; off: refused; ignore: left out of requests; or vLLM's parser",
    ),
]
Thinking = Annotated[
    str,
    BeforeValidator(_plain_on_or_off),
    Field(
        pattern=_PARSER,
        description="auto: as the model does; on, off: unless a request says it; inline: in the answer; or a parser",
    ),
]
