"""HTTPS in front of the gateway: real Caddy with the rendered Caddyfile, the gateway, a fake engine."""

from __future__ import annotations

import datetime
import json
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from h2.connection import H2Connection
from h2.events import DataReceived
from openai import OpenAI

from tests.e2e.caddy import CADDYFILE, Caddy
from tests.gateway.harness import KEY, Engine, Gateway, bearer, chat
from tests.waiting import wait_for

QUESTION: Any = [{"role": "user", "content": "Say something."}]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    engine = Engine(tmp_path_factory.mktemp("engine"))
    yield engine
    engine.stop()


@pytest.fixture(scope="module")
def gateway(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    limits = {"max_body_bytes": 10 * 2**20, "body_timeout_s": 1}
    gateway = Gateway(tmp_path_factory.mktemp("gateway"), [engine.url], limits=limits)
    gateway.wait_up()
    yield gateway
    gateway.stop()


@pytest.fixture
def start_caddy(gateway: Gateway) -> Iterator[Callable[..., Caddy]]:
    started: list[Caddy] = []

    def start(folder: Path, **more: Any) -> Caddy:
        folder.mkdir(exist_ok=True)
        started.append(Caddy(folder, gateway.port, **more))
        return started[-1]

    yield start
    for each in started:
        each.stop()


@pytest.fixture(scope="module")
def caddy(gateway: Gateway, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caddy]:
    caddy = Caddy(tmp_path_factory.mktemp("caddy"), gateway.port)
    yield caddy
    caddy.stop()


def client(caddy: Caddy, http2: bool = False) -> httpx.Client:
    return httpx.Client(
        base_url=caddy.url, verify=caddy.context(), http1=not http2, http2=http2, headers=bearer(KEY), timeout=60
    )  # fmt: skip


def test_openais_client_verifies_it_with_the_ca_and_refuses_it_without(caddy: Caddy) -> None:
    with openai.DefaultHttpxClient(verify=caddy.context()) as trusting, openai.DefaultHttpxClient() as strange:
        options: dict[str, Any] = {"base_url": f"{caddy.url}/v1", "api_key": KEY, "max_retries": 0}
        answer = OpenAI(http_client=trusting, **options).chat.completions.create(model="tiny", messages=QUESTION)
        assert answer.choices[0].message.content
        with pytest.raises(openai.APIConnectionError) as refused:
            OpenAI(http_client=strange, **options).models.list()
    assert "CERTIFICATE_VERIFY_FAILED" in str(refused.value.__cause__)


@pytest.mark.parametrize("http2", [False, True], ids=["http1", "http2"])
def test_a_stream_passes_event_by_event(caddy: Caddy, engine: Engine, http2: bool) -> None:
    """The first ones are here while the engine still writes the last, however slow this machine is."""
    engine.turn(itl_ms=100, tokens=100)
    try:
        with client(caddy, http2) as api:
            with api.stream("POST", "/v1/chat/completions", json=chat(stream=True)) as answer:
                assert answer.http_version == ("HTTP/2" if http2 else "HTTP/1.1")
                pieces = answer.iter_bytes()
                for _ in range(4):
                    assert next(pieces).count(b"data: ") < 50, "the events came together"
                    assert engine.running() == 1, "they were held back until the end"
            wait_for(lambda: engine.running() == 0, 10, "the engine is free")
    finally:
        engine.turn(itl_ms=5, tokens=16)


@pytest.fixture
def slow(engine: Engine) -> Iterator[Engine]:
    """It would write for minutes."""
    engine.turn(itl_ms=100, tokens=3000)
    yield engine
    engine.turn(itl_ms=5, tokens=16)


def test_a_client_that_leaves_frees_the_engine(caddy: Caddy, slow: Engine) -> None:
    with client(caddy) as api:
        with api.stream("POST", "/v1/chat/completions", json=chat(stream=True, max_tokens=3000)) as answer:
            pieces = answer.iter_bytes()
            next(pieces)
            assert slow.running() == 1
        wait_for(lambda: slow.running() == 0, 10, "the engine is free")


def test_a_stream_that_is_reset_in_http2_frees_the_engine(caddy: Caddy, slow: Engine) -> None:
    """As browsers do it: one request ends, the connection stays."""
    body = json.dumps(chat(stream=True, max_tokens=3000)).encode()
    head = [(":method", "POST"), (":authority", "localhost"), (":scheme", "https"), (":path", "/v1/chat/completions")]
    head += [("authorization", f"Bearer {KEY}"), ("content-type", "application/json")]
    context = caddy.context()
    context.set_alpn_protocols(["h2"])
    with socket.create_connection(("127.0.0.1", caddy.port), 20) as plain:
        with context.wrap_socket(plain, server_hostname="localhost") as sock:
            http = H2Connection()
            http.initiate_connection()
            http.send_headers(1, head)
            http.send_data(1, body, end_stream=True)
            sock.sendall(http.data_to_send())
            while not any(isinstance(event, DataReceived) for event in http.receive_data(sock.recv(65536))):
                sock.sendall(http.data_to_send())
            assert slow.running() == 1
            http.reset_stream(1)
            sock.sendall(http.data_to_send())
            wait_for(lambda: slow.running() == 0, 10, "the engine is free")


def test_a_body_at_the_limit_passes_and_a_larger_one_is_refused_in_the_apis_words(caddy: Caddy) -> None:
    whole = 10 * 2**20
    frame = json.dumps(chat(user="")).encode()
    body = frame.replace(b'"user": ""', b'"user": "' + b"x" * (whole - len(frame)) + b'"')
    assert len(body) == whole
    with client(caddy) as api:
        assert api.post("/v1/chat/completions", content=body).status_code == 200
        refused = api.post("/v1/chat/completions", content=body + b" ")
        assert (refused.status_code, refused.json()["error"]["type"]) == (413, "invalid_request_error")
        assert api.get("/livez").status_code == 200


def test_what_the_gateway_says_comes_unchanged(caddy: Caddy, gateway: Gateway) -> None:
    """Status, words and headers; 408 of a body that does not come too."""
    for path, key in (("/v1/models", "fb-wrong-wrong-wrong"), ("/nowhere", KEY), ("/v1/models", KEY)):
        through = httpx.get(f"{caddy.url}{path}", verify=caddy.context(), headers=bearer(key))
        direct = httpx.get(f"{gateway.url}{path}", headers=bearer(key))
        assert (through.status_code, through.json()) == (direct.status_code, direct.json())
        assert {"x-request-id", "content-type"} <= set(through.headers)

    def slowly() -> Iterator[bytes]:
        yield b'{"model": '
        time.sleep(3)
        yield b'"tiny"}'

    headers = bearer(KEY) | {"content-length": "17"}
    late = httpx.post(
        f"{caddy.url}/v1/chat/completions", content=slowly(), headers=headers, verify=caddy.context(), timeout=30
    )
    assert late.status_code == 408 and "did not arrive in time" in late.json()["error"]["message"]


def test_plain_http_at_its_port_is_refused_in_words(caddy: Caddy) -> None:
    answer = httpx.get(f"http://localhost:{caddy.port}/v1/models", headers=bearer(KEY))
    assert answer.status_code == 400 and "HTTP request to an HTTPS server" in answer.text


def test_only_a_real_domain_tells_browsers_to_insist(caddy: Caddy) -> None:
    assert "strict-transport-security" not in httpx.get(f"{caddy.url}/livez", verify=caddy.context()).headers
    text = CADDYFILE.read_text()
    assert text.count("Strict-Transport-Security") == 1
    assert text.index("(tls_public)") < text.index("Strict-Transport-Security") < text.index("(gateway)")


def test_an_address_is_served_to_those_who_send_no_name(caddy: Caddy) -> None:
    url = f"https://127.0.0.1:{caddy.port}/livez"
    assert httpx.get(url, verify=caddy.context()).status_code == 200


def test_a_restart_keeps_the_ca(start_caddy: Callable[..., Caddy], tmp_path: Path) -> None:
    first = start_caddy(tmp_path / "data")
    root, context = first.root.read_bytes(), first.context()
    first.stop()
    second = start_caddy(tmp_path / "data", FULLBATCH_HOSTS="localhost, box.local")
    assert second.root.read_bytes() == root
    assert httpx.get(f"{second.url}/livez", verify=context).status_code == 200


def test_ones_own_certificate_is_used_and_an_expired_one_refused(
    start_caddy: Callable[..., Caddy], tmp_path: Path
) -> None:
    certs = tmp_path / "certs"
    own = tmp_path / "Caddyfile"
    own.write_text(CADDYFILE.read_text().replace("/certs/", f"{certs}/"))
    for days, good in ((1, True), (-1, False)):
        _certificate(certs, days)
        caddy = start_caddy(tmp_path / f"data{days}", caddyfile=own, FULLBATCH_TLS="files")
        context = ssl.create_default_context(cafile=str(certs / "cert.pem"))
        if good:
            assert httpx.get(f"{caddy.url}/livez", verify=context).status_code == 200
        else:
            with pytest.raises(httpx.ConnectError, match="certificate has expired"):
                httpx.get(f"{caddy.url}/livez", verify=context)


def _certificate(folder: Path, days: int) -> None:
    """For localhost, signed by itself, whose last day is in so many."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    folder.mkdir(exist_ok=True)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    end = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(end - datetime.timedelta(days=30)).not_valid_after(end)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    form = serialization.PrivateFormat.PKCS8
    plain = serialization.NoEncryption()
    (folder / "key.pem").write_bytes(key.private_bytes(serialization.Encoding.PEM, form, plain))
