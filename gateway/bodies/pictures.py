"""What a request may bring of pictures and other files, and what they cost. Pure.

An engine unpacks a picture before it looks at it, and fetches one from an address for whoever names it. So all is
looked at here first: how many there are, what they are, how large, and where they come from.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from gateway.bodies import picture_size
from gateway.bodies.parts import MediaFile, Parts
from gateway.config.setting_types import PictureSettings, RequestLimits
from gateway.config.settings import EngineSettings
from gateway.core.errors import BadRequest

# What a picture costs a vision model, roughly, where nothing is known; its base64 would count as a hundred times that.
PICTURE_TOKENS = 1000
_ANYTHING = PictureSettings()
_BASE64 = ";base64,"
# Of what comes before the numbers: data:image/jpeg;base64,
_LONGEST_TYPE = 128
_KINDS = {"image": "picture", "video": "video", "audio": "sound", "document": "document", "embeds": "embedding"}


def check(parts: Parts, model: str, engine: EngineSettings | None, limits: RequestLimits) -> None:
    """Judge the files of a request, and set what they cost (``parts.media_tokens``).

    ``engine``: that serves ``model``; None where nobody does.

    Raises:
        BadRequest: there are too many, one is none, too large or from somewhere else, or the model sees nothing.
    """
    settings = _ANYTHING if engine is None or engine.pictures is None else engine.pictures
    pictures = sum(1 for file in parts.files if file.kind == "image")
    seen = sum(1 for file in parts.files if file.kind in ("image", "video"))
    if seen and engine is not None and (not engine.can("vision") or settings.most == 0):
        raise BadRequest(f"model '{model}' takes no pictures here; send text alone", param="messages")
    if settings.most is not None and pictures > settings.most:
        raise BadRequest(f"'messages' has {pictures} pictures; this model takes {settings.most}", param="messages")
    domains = () if engine is None else engine.media_domains
    tokens = pixels = 0
    for number, file in enumerate(parts.files, 1):
        if file.address is not None:
            _from_where(file, number, domains)
            tokens += settings.tokens
        elif file.kind == "image":
            width, height = _size(file, number, limits)
            pixels += width * height
            tokens += _tokens(width, height, settings)
        else:
            tokens += PICTURE_TOKENS
    if pixels > limits.max_request_pixels:
        raise BadRequest(
            f"the pictures have {pixels} pixels together; at most {limits.max_request_pixels} "
            "(limits.requests.max_request_pixels)",
            param="messages",
        )
    parts.media_tokens = tokens


def _tokens(width: int, height: int, settings: PictureSettings) -> int:
    side = settings.side
    if side is None:
        return settings.tokens
    return min(settings.tokens, max(1, -(-width // side)) * max(1, -(-height // side)))


def _size(file: MediaFile, number: int, limits: RequestLimits) -> tuple[int, int]:
    text = _numbers(file.inside)
    size = None if text is None else picture_size.measured(text)
    if size is None:
        raise BadRequest(
            f"file {number} of 'messages' is no picture: send a PNG, JPEG, WebP or GIF as base64, in OpenAI's API as "
            "data:image/png;base64,...",
            param="messages",
        )
    width, height = size
    if width * height > limits.max_picture_pixels:
        raise BadRequest(
            f"file {number} of 'messages' is {width} x {height} pixels; at most {limits.max_picture_pixels} in all "
            "(limits.requests.max_picture_pixels): send it smaller",
            param="messages",
        )
    return size


def _numbers(inside: str | None) -> str | None:
    """The base64 of a file: what comes after ``data:...;base64,``."""
    if inside is None:
        return None
    if inside[:5].lower() == "data:":
        start = inside.find(",", 0, _LONGEST_TYPE) + 1
        if not inside[:start].lower().endswith(_BASE64):
            return None
        return inside[start:]
    return inside


def _from_where(file: MediaFile, number: int, domains: tuple[str, ...]) -> None:
    """Refuse an address that the engine may not be sent to: it would ask whatever it can reach, for anybody."""
    address = file.address or ""
    what = _KINDS[file.kind]
    if not domains:
        raise BadRequest(
            f"file {number} of 'messages' is an address; send the {what} itself as a data URL "
            "(data:image/png;base64,...): this server fetches none",
            param="messages",
        )
    host = _host(address)
    if host is None or host not in domains:
        raise BadRequest(
            f"file {number} of 'messages' is an address that this server does not fetch from; send the {what} itself "
            f"as a data URL, or name one at {', '.join(domains)}",
            param="messages",
        )


def _host(address: str) -> str | None:
    """The host of an http address, as every reader of addresses sees it; None for one that may be read two ways."""
    if not address.isascii() or not address.isprintable() or any(mark in address for mark in '\\ "<>@'):
        return None
    try:
        parts = urlsplit(address)
        return parts.hostname if parts.scheme in ("http", "https") and parts.port != 0 else None
    except ValueError:
        return None
