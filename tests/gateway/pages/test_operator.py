"""What an operator sees, and that no other key does."""

from __future__ import annotations

from tests.gateway.harness import KEY, error_of
from tests.gateway.pages.conftest import Served


def test_p194_an_operator_sees_engines_keys_and_queue(served: Served) -> None:
    served.ask(served.alice)
    page = served.get("/ui/v1/admin", served.operator)
    body = page.json()
    assert (body["version"], body["name"], body["keys_text"]) == (1, "ops", "")
    engine = body["engines"][0]
    (address,) = engine["addresses"]
    assert (engine["name"], engine["state"], engine["models"]) == ("enginetiny", "up", ["tiny"])
    assert address["address"] == served.engine.url.removeprefix("http://")
    assert 0 <= address["kv_usage"] <= 1 and address["kv_tokens"] > 0 and address["running"] >= 0
    keys = {one["name"]: one for one in body["keys"]}
    assert keys["alice"]["requests_per_minute"] == 60 and keys["alice"]["from"] == "store"
    assert sum(one["from"] == "key file" for one in body["keys"]) == 2
    assert body["queue"] == []
    assert body["may_change"] is False and served.get("/ui/v1/admin", served.admin).json()["may_change"] is True
    for hidden in (served.alice, served.operator, KEY, "digest"):
        assert hidden not in page.text


def test_p194_no_other_key_does(served: Served) -> None:
    for key in (served.alice, KEY):
        refused = served.get("/ui/v1/admin", key)
        assert refused.status_code == 403
        assert error_of(refused)["code"] == "operators_only"
        assert "operators" in error_of(refused)["message"]
        assert refused.headers["cache-control"] == "no-store"
    assert served.get("/ui/v1/admin").status_code == 401
