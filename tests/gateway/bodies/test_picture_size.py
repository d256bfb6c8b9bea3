"""Width and height from the first bytes of a picture."""

from __future__ import annotations

import random
import time

import pytest

from gateway.bodies import picture_size
from tests.gateway import picture_files as files


@pytest.mark.parametrize(
    "data",
    [
        files.png(640, 480),
        files.jpeg(640, 480),
        files.jpeg(640, 480, before=40),
        files.gif(640, 480),
        files.webp(640, 480, "VP8X"),
        files.webp(640, 480, "VP8L"),
        files.webp(640, 480, "VP8 "),
    ],
    ids=["png", "jpeg", "jpeg with notes", "gif", "webp", "webp without loss", "webp with loss"],
)
def test_each_kind(data: bytes) -> None:
    assert picture_size.measured(files.encoded(data)) == (640, 480)


def test_a_large_one() -> None:
    assert picture_size.measured(files.encoded(files.png(60_000, 50_000))) == (60_000, 50_000)


def test_of_two_frames_the_larger_counts_and_two_headers_are_none() -> None:
    assert picture_size.measured(files.encoded(files.jpeg(8, 8, twice=(40_000, 30_000)))) == (40_000, 30_000)
    assert picture_size.measured(files.encoded(files.png(8, 8, twice=(40_000, 30_000)))) is None


@pytest.mark.parametrize(
    "text",
    [
        "", "x", "====", "AAAA", "not base64 at all", "é" * 50,
        files.encoded(b"\x89PNG\r\n\x1a\n" + b"\0" * 30),
        files.encoded(b"<svg xmlns='http://www.w3.org/2000/svg' width='8'/>"),
        files.encoded(b"BM" + b"\0" * 60),
        files.encoded(b"%PDF-1.7" + b"\0" * 60),
        files.encoded(b"\xff\xd8\xff" + b"\0" * 20),
        files.encoded(b"\xff\xd8" + b"\xff\xe1\x00\x02" * 2000),
        files.encoded(b"\xff\xd8\xff\xda" + b"\0" * 60),
        files.encoded(files.png(0, 480)),
        files.encoded(files.jpeg(0, 480)),
        files.encoded(files.webp(640, 480)[:20]),
        files.encoded(files.webp(640, 480).replace(b"VP8X", b"VP9X")),
        files.encoded(files.png(640, 480)[:60]),
    ],
)  # fmt: skip
def test_what_is_none(text: str) -> None:
    assert picture_size.measured(text) is None


def test_any_beginning_of_one_is_one_or_none() -> None:
    for data in (files.png(9, 8), files.jpeg(9, 8, twice=(3, 2)), files.gif(9, 8), files.webp(9, 8)):
        for end in range(len(data)):
            assert picture_size.measured(files.encoded(data[:end])) in (None, (9, 8))


def test_noise_ends_nothing() -> None:
    noise = random.Random(3)
    starts = [files.png(9, 8), files.jpeg(9, 8), files.gif(9, 8), files.webp(9, 8)]
    for _ in range(2000):
        data = bytearray(noise.choice(starts))
        for _ in range(4):
            data[noise.randrange(len(data))] = noise.randrange(256)
        picture_size.measured(files.encoded(bytes(data)))


def test_ten_megabytes_cost_no_more_than_a_few() -> None:
    text = files.encoded(files.jpeg(640, 480) + b"\0" * 10_000_000)
    start = time.perf_counter()
    for _ in range(20):
        picture_size.measured(text)
    assert (time.perf_counter() - start) / 20 < 0.005  # decoding all of it takes 20 ms
