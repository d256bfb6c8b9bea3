"""What holds for all paths of the pages: how often, without a store, and that no key is written anywhere."""

from __future__ import annotations

from collections.abc import Callable

import httpx

from gateway.pages.endpoints import ASKED_A_MINUTE
from tests.gateway.harness import KEY, Engine, Gateway, bearer, error_of, keys
from tests.gateway.pages.conftest import Served


def test_p195_a_key_may_look_so_often_and_then_has_to_wait(served: Served) -> None:
    key = keys(served.store, "create", "curious")["key"]
    with httpx.Client(base_url=served.gateway.url, headers=bearer(key)) as client:
        while client.get("/ui/v1/me").status_code == 401:  # until the gateway has seen that it is there
            pass
        # What was taken comes back, one a second, so a slow machine asks a little more often.
        answers = (client.get("/ui/v1/me") for _ in range(5 * ASKED_A_MINUTE))
        asked, refused = next((n, answer) for n, answer in enumerate(answers, 1) if answer.status_code != 200)
        generous = client.get("/v1/models")
    assert asked >= ASKED_A_MINUTE
    assert refused.status_code == 429 and int(refused.headers["retry-after"]) >= 1
    assert error_of(refused)["code"] == "overloaded"
    assert generous.status_code == 200
    assert served.get("/ui/v1/me", served.alice).status_code == 200


def test_p195_without_a_store_the_rest_is_told(start_gateway: Callable[..., Gateway], engine: Engine) -> None:
    gateway = start_gateway([engine.url])
    me = httpx.get(f"{gateway.url}/ui/v1/me", headers=bearer(KEY)).json()
    assert me["usage"] is None and "names no store" in me["usage_text"]
    assert me["name"] and me["limits"] == []


def test_p195_no_key_gets_into_a_log(served: Served) -> None:
    for path in ("/ui/v1/me", "/ui/v1/admin", "/ui/v1/status"):
        served.get(path, served.operator)
    for written in (served.gateway.stdout(), served.gateway.stderr()):
        assert served.operator not in written and served.alice not in written
    assert "/ui/v1" not in served.gateway.stdout()
