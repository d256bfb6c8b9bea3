"""Types of settings: limits on requests, CORS, and the kinds of values that all settings share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator

# What a computer of today could have of anything here; beyond it sums overflow.
MOST = 1 << 40
# Bytes of a Unix socket's path.
LONGEST_SOCKET_PATH = 107


def _plain(text: str) -> str:
    if not text.isprintable():
        raise ValueError("has characters that cannot be printed; write plain text")
    return text


Seconds = Annotated[float, Field(gt=0, le=86_400)]
Count = Annotated[int, Field(gt=0, le=MOST)]
# Names go into headers, labels and logs.
Name = Annotated[str, Field(min_length=1, max_length=256), AfterValidator(_plain)]
# The only type that is not given as YAML has it.
File = Annotated[Path, Field(strict=False)]


def _page_address(url: str) -> str:
    # A password stands before the @, or after a question mark.
    told = repr(url.rpartition("@")[2].partition("?")[0].partition("#")[0][:200])[1:-1]
    try:
        parts = urlsplit(url)
        plain = f"{parts.scheme}://{parts.netloc}".lower()
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and url == plain and parts.port != 0
    except ValueError:
        good = False
    if not good or "@" in url:
        raise ValueError(f"'{told}' is no server's address; write https://HOST or http://HOST:PORT, in lower case")
    return url


# By which clients reach the gateway.
Url = Annotated[str, Field(max_length=256), AfterValidator(_plain), AfterValidator(_page_address)]


class Frozen(BaseModel):
    """Nothing is coerced: `true` is no 1 and "231" no 231."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class RequestLimits(Frozen):
    """What one request may ask for at most, whoever sends it.

    ``compile_s``: so long may an engine take, by estimate, to compile the form of an answer (`compile_cost`).
    ``max_pattern_bytes``: of its regexes and grammars. ``max_parts``: parts of all messages together; ``max_media``:
    images, sounds and films among them. ``max_options_bytes``: of each object of options for templates and processors.
    ``max_picture_pixels``: width times height of one picture; ``max_request_pixels``: of all together.
    ``max_json_weight``: of a whole body, see `json_weight`. ``clamp_max_tokens``: an answer that may be longer than the
    model's context is asked for with the context as its limit, instead of being refused. ``chars_per_token``: a prompt
    of more characters than that times the context is refused (`prompt.must_fit`); 0 is never.
    """

    compile_s: Annotated[float, Field(gt=0, le=3600)] = 1.0
    max_pattern_bytes: Count = 16 * 1024
    max_messages: Count = 4096
    max_parts: Count = 8192
    max_media: Count = 64
    max_picture_pixels: Count = 50_000_000
    max_request_pixels: Count = 200_000_000
    max_tools: Count = 256
    max_tools_bytes: Count = 512 * 1024
    max_stop_length: Count = 1024
    max_options_bytes: Count = 16 * 1024
    max_json_weight: Count = 250_000
    clamp_max_tokens: bool = False
    chars_per_token: Annotated[int, Field(ge=0, le=MOST)] = 256


class PictureSettings(Frozen):
    """What a model does with pictures. ``most``: in one request, 0 for none at all, None for ``max_media``.

    ``tokens``: of one picture at most. ``side``: of the square of pixels that is one token; None: all cost the same.
    """

    most: Annotated[int, Field(ge=0, le=MOST)] | None = None
    tokens: Count = 1000
    side: Count | None = None


class Cors(Frozen):
    """``origins``: of web pages whose scripts may ask, such as https://chat.example; "*" is any. None by default."""

    origins: tuple[str, ...] = ()

    @field_validator("origins")
    @classmethod
    def _as_browsers_send_them(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        for origin in origins:
            parts = urlsplit(origin)
            if origin != "*" and (not parts.hostname or origin != f"{parts.scheme}://{parts.netloc}".lower()):
                raise ValueError(
                    f"'{origin}' is not an origin; write https://HOST or https://HOST:PORT, without a path, or *"
                )
        return origins


def listed(names: set[str]) -> str:
    """Names as an error tells them."""
    return ", ".join(f"'{name}'" for name in sorted(names))
