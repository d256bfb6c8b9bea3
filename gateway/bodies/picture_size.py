"""How large a picture is: width and height from the header of a PNG, JPEG, WebP or GIF that is given as base64. Pure.

Only the few bytes that say it are decoded, so a picture of any size costs the same, and none is unpacked here: a file
of a kilobyte may unpack to gigabytes.
"""

from __future__ import annotations

import binascii

# Parts of a JPEG or PNG that are looked at before its numbers; cameras write some twenty.
_MOST_PARTS = 512
# Markers of JPEG that carry the size: all frames, but not what stands between them (tables, DHT, JPG, DAC).
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD8)})

Size = tuple[int, int]


def measured(text: str) -> Size | None:
    """Width and height in pixels of the picture that ``text`` is the base64 of; None where it is none of the four."""
    head = _at(text, 0, 30)
    size: Size | None = None
    if head.startswith(b"\x89PNG\r\n\x1a\n") and head[12:16] == b"IHDR":
        size = (_big(head, 16, 4), _big(head, 20, 4)) if _has_one_header(text) else None
    elif head.startswith((b"GIF87a", b"GIF89a")):
        size = _little(head, 6, 2), _little(head, 8, 2)
    elif head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        size = _webp(head)
    elif head.startswith(b"\xff\xd8\xff"):
        size = _jpeg(text)
    return size if size is not None and size[0] > 0 and size[1] > 0 else None


def _webp(head: bytes) -> Size | None:
    kind = head[12:16]
    if len(head) < 30:
        return None
    if kind == b"VP8X":
        return _little(head, 24, 3) + 1, _little(head, 27, 3) + 1
    if kind == b"VP8L" and head[20] == 0x2F:
        bits = _little(head, 21, 4)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 " and head[23:26] == b"\x9d\x01\x2a":
        return _little(head, 26, 2) & 0x3FFF, _little(head, 28, 2) & 0x3FFF
    return None


def _has_one_header(text: str) -> bool:
    """Whether no second header of a PNG follows, which a reader would take instead of the first."""
    place = 33
    for _ in range(_MOST_PARTS):
        head = _at(text, place, 8)
        if len(head) < 8 or head[4:8] == b"IHDR":
            return False
        if head[4:8] == b"IDAT":
            return True
        place += 12 + _big(head, 0, 4)
    return False


def _jpeg(text: str) -> Size | None:
    """Of the largest frame that is announced: readers take the last one."""
    place = 2
    width = height = 0
    for _ in range(_MOST_PARTS):
        head = _at(text, place, 9)
        if len(head) < 4 or head[0] != 0xFF:
            return None
        marker = head[1]
        if marker == 0xFF:  # filling
            place += 1
        elif marker in _WITHOUT_LENGTH:
            place += 2
        elif marker == 0xD9 or marker == 0xDA:  # its end, or its numbers
            return (width, height) if width else None
        else:
            if marker in _FRAMES:
                width, height = max(width, _big(head, 7, 2)), max(height, _big(head, 5, 2))
            place += 2 + max(_big(head, 2, 2), 2)
    return None


def _at(text: str, place: int, count: int) -> bytes:
    """``count`` bytes from ``place`` on, or those that there are; empty where it is no base64."""
    first = place // 3 * 4
    last = (place + count + 2) // 3 * 4
    try:
        found = binascii.a2b_base64(text[first:last])
    except (binascii.Error, ValueError):
        return b""
    skipped = place % 3
    return found[skipped : skipped + count]


def _big(data: bytes, place: int, count: int) -> int:
    return int.from_bytes(data[place : place + count], "big")


def _little(data: bytes, place: int, count: int) -> int:
    return int.from_bytes(data[place : place + count], "little")
