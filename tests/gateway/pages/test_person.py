"""What a key sees of itself, and of nobody else."""

from __future__ import annotations

from typing import Any

import httpx

from tests.gateway.harness import bearer, chat, error_of, wait_until
from tests.gateway.pages.conftest import Served


def me(served: Served, key: str) -> dict[str, Any]:
    found: dict[str, Any] = served.get("/ui/v1/me", key).json()
    return found


def test_p193_a_key_sees_its_limits_and_what_is_left(served: Served) -> None:
    for _ in range(3):
        served.ask(served.alice)
    about = me(served, served.alice)
    assert (about["version"], about["name"], about["models"], about["expires"]) == (1, "alice", None, None)
    limits = {one["name"]: one for one in about["limits"]}
    assert list(limits) == ["requests_per_minute", "tokens_per_minute", "concurrent"]
    assert limits["requests_per_minute"]["limit"] == 60 and 40 < limits["requests_per_minute"]["left"] < 60
    assert limits["concurrent"] == {"name": "concurrent", "limit": 4, "left": 4, "whole_in_s": 0.0}
    assert limits["tokens_per_minute"]["limit"] == 100000 >= limits["tokens_per_minute"]["left"] > 90000


def test_p193_usage_by_day_and_model_and_the_last_requests_without_texts(served: Served) -> None:
    before = len(me(served, served.alice)["recent"])
    url = f"{served.gateway.url}/v1/chat/completions"
    text = "a text that nobody keeps"
    body = chat(stream=True, max_tokens=7, messages=[{"role": "user", "content": text}])
    answer = httpx.post(url, json=body, headers=bearer(served.alice))
    httpx.post(url, json=chat() | {"model": "unknown"}, headers=bearer(served.alice))

    def written() -> bool:
        usage = me(served, served.alice)["usage"]
        return bool(usage) and usage[0]["completion_tokens"] >= 7

    wait_until(written, 5, "usage in the store")
    page = served.get("/ui/v1/me", served.alice)
    about = page.json()
    assert about["usage"][0]["model"] == "tiny" and about["usage_text"] == ""
    refused, whole = about["recent"][:2]
    assert (refused["outcome"], refused["status"], refused["model"]) == ("refused", 404, "")
    assert (whole["outcome"], whole["completion_tokens"], whole["id"]) == ("ok", 7, answer.headers["x-request-id"])
    assert whole["first_token_s"] > 0 and whole["seconds"] > 0 and whole["waited_s"] == 0
    assert len(about["recent"]) == before + 2
    for hidden in (text, "xxxx", served.alice, served.engine.url.removeprefix("http://"), "ops"):
        assert hidden not in page.text


def test_p193_another_key_sees_nothing_of_it(served: Served) -> None:
    served.ask(served.alice)
    about = me(served, served.operator)
    assert about["name"] == "ops" and about["limits"] == []
    assert all(row["id"] for row in about["recent"]) and "alice" not in str(about)


def test_p193_without_a_key_or_with_a_wrong_one_it_is_401(served: Served) -> None:
    for key in ("", "fb-wrong"):
        refused = served.get("/ui/v1/me", key)
        assert refused.status_code == 401
        assert error_of(refused)["code"] == "invalid_api_key"
    assert served.get(f"/ui/v1/me?key={served.alice}").status_code == 401
