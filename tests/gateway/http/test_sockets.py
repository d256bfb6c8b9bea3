"""Peers that vanish without a packet."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest

from gateway.http.sockets import IDLE_S, INTERVAL_S, PROBES, UNACKNOWLEDGED_S, see_vanishing
from tests.gateway.harness import Engine, Gateway, chat_bytes, post_bytes, wait_until

LIMIT_S = 60
# Opens a connection for each request, sends it, says so, and stays.
CLIENT = """
import socket, sys, time
host, port, *requests = sys.argv[1:]
held = []
for request in requests:
    held.append(socket.create_connection((host, int(port))))
    held[-1].sendall(bytes.fromhex(request))
print("sent", flush=True)
time.sleep(300)
"""


def test_p145_the_kernel_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        see_vanishing(server)
        with socket.create_connection(server.getsockname()), server.accept()[0] as accepted:
            assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            read = [socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT, socket.TCP_USER_TIMEOUT]
            values = [accepted.getsockopt(socket.IPPROTO_TCP, option) for option in read]
    assert values == [IDLE_S, INTERVAL_S, PROBES, UNACKNOWLEDGED_S * 1000]
    assert IDLE_S + INTERVAL_S * PROBES < LIMIT_S and UNACKNOWLEDGED_S < LIMIT_S
    one, other = socket.socketpair()
    with one, other:
        see_vanishing(one)  # has none of this, and needs none


def test_p145_connections_of_clients_and_to_engines_have_it(gateway: Gateway) -> None:
    if shutil.which("ss") is None:
        pytest.skip("no ss here")
    with gateway.client() as client:
        client.get("/livez")
        lines = subprocess.run(["ss", "-tnop"], capture_output=True, text=True, check=True).stdout.splitlines()
    own = [line for line in lines if f"pid={gateway.pid}," in line]
    assert own and all("timer:(keepalive," in line for line in own)


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


@pytest.fixture
def network() -> Iterator[tuple[str, str]]:
    """A network namespace with a cable to it: its name, and the address of this end."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("needs root and iproute2")
    name, octet = f"fb{os.getpid()}", os.getpid() % 250
    try:
        ip("netns", "add", name)
    except subprocess.CalledProcessError:
        pytest.skip("no network namespaces here")
    try:
        ip("link", "add", name, "type", "veth", "peer", "name", "cable", "netns", name)
        ip("address", "add", f"10.213.{octet}.1/30", "dev", name)
        ip("link", "set", name, "up")
        ip("-n", name, "address", "add", f"10.213.{octet}.2/30", "dev", "cable")
        ip("-n", name, "link", "set", "cable", "up")
        yield name, f"10.213.{octet}.1"
    finally:
        ip("netns", "delete", name)


def test_p145_clients_that_vanish_give_their_places_back(
    start_engine: Callable[..., Engine], start_gateway: Callable[..., Gateway], network: tuple[str, str]
) -> None:
    """A stream, a request that waits for its answer and one in the queue; then no packet comes from them any more."""
    name, address = network
    engine = start_engine(itl_ms=50)
    gateway = start_gateway(
        [engine.url], listen={"host": address, "plain_http": True}, engine_numbers={"max_num_seqs": 2}
    )
    gateway.wait_up()
    bodies = (chat_bytes(True, max_tokens=4000), chat_bytes(max_tokens=4000), chat_bytes(max_tokens=4000))
    requests = [post_bytes(body, f"Content-Length: {len(body)}").hex() for body in bodies]
    command = ["ip", "netns", "exec", name, sys.executable, "-c", CLIENT, address, str(gateway.port), *requests]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as client:
        try:
            assert client.stdout is not None and client.stdout.readline() == b"sent\n"
            wait_until(lambda: gateway.metric("gateway_requests_in_flight") == 3, 5, "all three there")
            time.sleep(1)
            ip("-n", name, "route", "add", "blackhole", f"{address}/32")
            took = wait_until(lambda: gateway.metric("gateway_requests_in_flight") == 0, LIMIT_S, "places back")
            assert took > 10  # and not because the client's kernel had still said something
            wait_until(lambda: engine.running() == 0, 2, "the engine is rid of them")
        finally:
            client.kill()
