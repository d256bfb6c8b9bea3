"""What a request may bring of pictures: pure, and in the words of each API."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import orjson
import pytest

from gateway.bodies import pictures, prompt
from gateway.bodies.parts import Parts
from gateway.config.setting_types import PictureSettings, RequestLimits
from gateway.config.settings import EngineSettings
from gateway.core.errors import BadRequest
from tests.gateway import picture_files as files
from tests.gateway.harness import Engine, Gateway, error_of

LIMITS = RequestLimits()
PNG = files.url(files.png(640, 480))
NUMBERS = {"max_num_seqs": 1, "max_num_batched_tokens": 1, "max_model_len": 4096, "kv_cache_tokens": 4096}


def _engine(**changes: Any) -> EngineSettings:
    return EngineSettings.model_validate({"name": "e", "url": "http://e:1", "models": ("m",), **NUMBERS, **changes})


def _parts(*where: str) -> Parts:
    return Parts({"messages": [{"role": "user", "content": [files.part(one) for one in where]}]})


def _refused(parts: Parts, engine: EngineSettings | None = None, limits: RequestLimits = LIMITS) -> str:
    with pytest.raises(BadRequest) as raised:
        pictures.check(parts, "m", engine, limits)
    return raised.value.message


@pytest.mark.parametrize(
    ("settings", "size", "tokens"),
    [
        (None, (640, 480), 1000),
        (PictureSettings(tokens=280), (4000, 3000), 280),
        (PictureSettings(tokens=16_384, side=32), (1024, 1024), 1024),
        (PictureSettings(tokens=16_384, side=32), (1025, 1), 33),
        (PictureSettings(tokens=16_384, side=32), (8000, 6000), 16_384),
        (PictureSettings(tokens=16_384, side=28), (1024, 1024), 37 * 37),
    ],
)
def test_p127_what_a_picture_costs(settings: PictureSettings | None, size: tuple[int, int], tokens: int) -> None:
    parts = _parts(files.url(files.png(*size)), files.url(files.jpeg(*size), "jpeg"))
    pictures.check(parts, "m", _engine(pictures=settings), LIMITS)
    assert parts.media_tokens == 2 * tokens
    assert prompt.estimate(len(PNG), parts) >= 2 * tokens


def test_p127_a_picture_in_any_api_costs_the_same() -> None:
    inside = files.encoded(files.png(640, 480))
    for content in (
        {"messages": [{"content": [files.part(PNG)]}]},
        {"input": [{"content": [{"type": "input_image", "image_url": PNG}]}]},
        {"messages": [{"content": [{"type": "image", "source": {"type": "base64", "data": inside}}]}]},
    ):
        parts = Parts(content)
        pictures.check(parts, "m", _engine(pictures=PictureSettings(tokens=9000, side=32)), LIMITS)
        assert parts.media_tokens == 20 * 15
        assert prompt.estimate(len(orjson.dumps(content)), parts) < 400


@pytest.mark.parametrize(
    "where",
    ["data:image/png;base64,AAAA", "data:image/png,AAAA", "data:", "iVBORw0KGgo", "", "data:text/html;base64,PGgxPg=="],
)
def test_p185_what_is_no_picture(where: str) -> None:
    assert "file 2 of 'messages' is no picture: send a PNG, JPEG, WebP or GIF" in _refused(_parts(PNG, where))


@pytest.mark.parametrize("image", [None, 5, [], {"url": None}, {"url": 5}, {}])
def test_p185_nothing_is_no_picture(image: Any) -> None:
    parts = Parts({"messages": [{"content": [{"type": "image_url", "image_url": image, "uuid": "somebody-elses"}]}]})
    assert "is no picture" in _refused(parts)


def test_p185_too_many_pixels_in_one_and_in_all() -> None:
    huge = files.url(files.png(30_000, 30_000))
    assert len(huge) < 2000
    assert "file 1 of 'messages' is 30000 x 30000 pixels; at most 50000000 in all" in _refused(_parts(huge))
    large = files.url(files.jpeg(7000, 7000), "jpeg")
    assert "pixels together; at most 200000000 (limits.requests.max_request_pixels)" in _refused(_parts(*[large] * 5))
    pictures.check(_parts(*[large] * 4), "m", None, LIMITS)


ADDRESSES = [
    "http://169.254.169.254/latest/meta-data", "https://images.example.org/a.png", "file:///etc/passwd", "HTTP://x/",
    "ftp://x/a", " http://x/", "http://engine:8000/metrics",
]  # fmt: skip


@pytest.mark.parametrize("address", ADDRESSES)
def test_p186_no_address_is_fetched(address: str) -> None:
    assert "is an address; send the picture itself as a data URL" in _refused(_parts(address), _engine())


@pytest.mark.parametrize(
    "content",
    [
        [{"type": "image", "source": {"type": "url", "url": "http://x/"}}],
        [{"type": "document", "source": {"type": "url", "url": "http://x/"}}],
        [{"type": "image", "source": {"type": "file", "file_id": "f"}}],
        [{"type": "tool_result", "content": [{"type": "image", "source": {"type": "url", "url": "http://x/"}}]}],
        [{"type": "video_url", "video_url": {"url": "http:/x"}}],
        [{"type": "audio_url", "audio_url": {"url": "x"}}],
        [{"type": "input_image", "image_url": "http://x/"}],
        [{"image_url": PNG, "video_url": "http://x/"}],
    ],
)
def test_p186_nor_in_other_words(content: list[dict[str, Any]]) -> None:
    assert "is an address" in _refused(Parts({"messages": [{"role": "user", "content": content}]}))


@pytest.mark.parametrize(
    ("address", "taken"),
    [
        ("https://images.example.org/a.png?b=c", True),
        ("HTTPS://IMAGES.example.org:8443/a.png", True),
        ("https://images.example.org.evil.example/a.png", False),
        ("https://evil.example/images.example.org", False),
        ("https://images.example.org@evil.example/a.png", False),
        ("https://evil.example\\@images.example.org/", False),
        ("https://images.example.org\\.evil.example/", False),
        ("https://images.example.org\t.evil.example/", False),
        ("https://images.example.org:x/", False),
        ("https://[images.example.org/", False),
        ("ftp://images.example.org/a.png", False),
        ("https://im\u00e4ges.example.org/", False),
        ("https://10.0.0.1/", False),
    ],
)
def test_p186_only_from_the_domains_that_are_named(address: str, taken: bool) -> None:
    engine = _engine(media_domains=("images.example.org",), pictures=PictureSettings(tokens=777, side=32))
    if taken:
        parts = _parts(address)
        pictures.check(parts, "m", engine, LIMITS)
        assert parts.media_tokens == 777
    else:
        assert "does not fetch from; send the picture itself" in _refused(_parts(address), engine)


def test_p187_a_model_that_sees_nothing() -> None:
    assert _refused(_parts(PNG), _engine(capabilities=("completion",))) == (
        "model 'm' takes no pictures here; send text alone"
    )
    assert "takes no pictures here" in _refused(_parts(PNG), _engine(pictures=PictureSettings(most=0)))
    video = Parts({"messages": [{"content": [{"type": "video_url", "video_url": "data:video/mp4;base64,AAAA"}]}]})
    assert "takes no pictures here" in _refused(video, _engine(capabilities=("completion",)))
    pictures.check(_parts(PNG), "m", _engine(), LIMITS)
    pictures.check(_parts(PNG), "m", _engine(capabilities=("completion", "vision")), LIMITS)


def test_p187_no_more_than_it_takes() -> None:
    engine = _engine(pictures=PictureSettings(most=2))
    pictures.check(_parts(PNG, PNG), "m", engine, LIMITS)
    assert _refused(_parts(PNG, PNG, PNG), engine) == "'messages' has 3 pictures; this model takes 2"


@pytest.fixture
def blind(start_engine: Callable[..., Engine], start_gateway: Callable[..., Gateway]) -> Iterator[httpx.Client]:
    engine = start_engine()
    gateway = start_gateway([engine.url], engine_numbers={"capabilities": ["completion"]})
    gateway.wait_up()
    with gateway.client() as client:
        yield client


def _asked(where: str) -> list[tuple[str, dict[str, Any]]]:
    """One picture in the words of each API."""
    inside = where.partition("base64,")[2]
    source = {"type": "base64", "media_type": "image/png", "data": inside}
    if "://" in where:
        source = {"type": "url", "url": where}
    user = {"role": "user", "content": [files.part(where)]}
    asked: list[tuple[str, dict[str, Any]]] = [
        ("/v1/chat/completions", {"messages": [user]}),
        ("/v1/responses", {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": where}]}]}),
        (
            "/v1/messages",
            {"max_tokens": 5, "messages": [{"role": "user", "content": [{"type": "image", "source": source}]}]},
        ),
    ]
    if "://" not in where:
        asked.append(("/api/chat", {"messages": [{"role": "user", "content": "x", "images": [inside]}]}))
        asked.append(("/api/generate", {"prompt": "x", "images": [inside]}))
    return asked


def _message(response: httpx.Response, path: str) -> str:
    assert response.status_code == 400, (path, response.text)
    if path.startswith("/api"):
        return str(response.json()["error"])
    error = error_of(response) if path != "/v1/messages" else response.json()["error"]
    assert error["type"] == "invalid_request_error"
    return str(error["message"])


def test_p187_each_api_says_it_in_its_own_shape(blind: httpx.Client) -> None:
    for path, body in _asked(PNG):
        assert "takes no pictures here" in _message(blind.post(path, json={"model": "tiny", **body}), path)


def test_p185_nothing_that_is_no_picture_or_an_address_reaches_an_engine(client: httpx.Client, engine: Engine) -> None:
    before = engine.paths()
    for where in ("data:image/png;base64,AAAA", "http://169.254.169.254/"):
        for path, body in _asked(where):
            said = _message(client.post(path, json={"model": "tiny", **body}), path)
            assert "is no picture" in said or "is an address" in said
    after = engine.paths()
    assert {path for path in after if path.startswith("POST") and after[path] != before.get(path, 0)} <= {
        "POST /v1/completions"
    }
    for path, body in _asked(PNG):
        if path != "/v1/responses":
            assert client.post(path, json={"model": "tiny", **body}).status_code == 200, path


def test_p121_ten_thousand_pictures_are_refused_at_once(client: httpx.Client) -> None:
    for count, said in ((10_000, "limits.requests.max_json_weight"), (65, "65 images and the like; at most 64")):
        body = {"model": "tiny", "messages": [{"role": "user", "content": [files.part(PNG)] * count}]}
        content = orjson.dumps(body)
        start = time.perf_counter()
        response = client.post("/v1/chat/completions", content=content)
        assert response.status_code == 400 and said in error_of(response)["message"]
        assert time.perf_counter() - start < 5
