"""Makes small files of pictures that say they are of any size."""

from __future__ import annotations

import base64
import struct
import zlib


def png(width: int, height: int, *, twice: tuple[int, int] | None = None) -> bytes:
    """`twice`: a second header says another size."""
    parts = [b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0), b"tEXt" + b"x" * 500]
    if twice:
        parts.append(b"IHDR" + struct.pack(">IIBBBBB", *twice, 8, 0, 0, 0, 0))
    parts += [b"IDAT" + zlib.compress(b"\0" * min((width + 1) * height, 10_000)), b"IEND"]
    chunks = (struct.pack(">I", len(part) - 4) + part + struct.pack(">I", zlib.crc32(part)) for part in parts)
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def jpeg(width: int, height: int, *, before: int = 0, twice: tuple[int, int] | None = None) -> bytes:
    """`before`: segments of 60 KB with a camera's notes; `twice`: a second frame says another size."""
    notes = b"".join(b"\xff\xe1" + struct.pack(">H", 60_002) + b"n" * 60_000 for _ in range(before))
    frames = b"".join(
        b"\xff\xc0" + struct.pack(">HBHHB", 11, 8, high, wide, 1) + b"\x01\x11\x00"
        for wide, high in [(width, height), *([twice] if twice else [])]
    )
    table = b"\xff\xc4" + struct.pack(">H", 19) + b"\0" * 17
    scan = b"\xff\xda" + struct.pack(">H", 8) + b"\1\1\0\0\x3f\0" + b"\0" * 20
    return b"\xff\xd8" + notes + b"\xff" + table + frames + scan + b"\xff\xd9"


def gif(width: int, height: int) -> bytes:
    return b"GIF89a" + struct.pack("<HH", width, height) + b"\0\0\0" + b"," + b"\0" * 20 + b";"


def webp(width: int, height: int, kind: str = "VP8X") -> bytes:
    body = {
        "VP8X": b"\0\0\0\0" + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little"),
        "VP8L": b"\x2f" + ((width - 1) | (height - 1) << 14).to_bytes(4, "little") + b"\0" * 8,
        "VP8 ": b"\0\0\0\x9d\x01\x2a" + struct.pack("<HH", width, height) + b"\0" * 8,
    }[kind]
    inner = b"WEBP" + kind.encode() + struct.pack("<I", len(body)) + body
    return b"RIFF" + struct.pack("<I", len(inner)) + inner


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def url(data: bytes, kind: str = "png") -> str:
    return f"data:image/{kind};base64,{encoded(data)}"


def part(where: str) -> dict[str, object]:
    """As OpenAI's API has it."""
    return {"type": "image_url", "image_url": {"url": where}}
