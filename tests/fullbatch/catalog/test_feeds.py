from __future__ import annotations

from typing import Any

import pytest

from fullbatch.catalog import feeds

MIXTURE: dict[str, Any] = {
    "hidden_size": 100, "intermediate_size": 400, "num_experts": 8, "num_experts_per_tok": 2,
    "moe_intermediate_size": 50,
}  # fmt: skip


def _read(place: int = 0, kind: str = "", **changes: Any) -> feeds.Feed:
    return feeds.read(MIXTURE | changes, place, kind, set())


def test_experts_a_router_and_what_one_token_passes() -> None:
    assert _read() == feeds.Feed(dense=100 * 8, experts=8 * 3 * 100 * 50, passed=2 * 3 * 100 * 50)


def test_up_and_down_without_a_gate() -> None:
    assert (
        feeds.read({"hidden_size": 100, "intermediate_size": 400, "model_type": "gpt2"}, 0, "", set()).dense == 80_000
    )


@pytest.mark.parametrize(
    ("changes", "mixtures"),
    [
        ({"first_k_dense_replace": 2}, [2, 3, 4, 5]),
        ({"mlp_only_layers": [0, 5]}, [1, 2, 3, 4]),
        ({"decoder_sparse_step": 2}, [1, 3, 5]),
        ({"interleave_moe_layer_step": 2}, [1, 3, 5]),
        ({"expert_layer_period": 2, "expert_layer_offset": 1}, [1, 3, 5]),
        ({"moe_layer_freq": [0, 1, 1, 1, 1, 1]}, [1, 2, 3, 4, 5]),
        ({"moe_layers_enum": "3,4,5"}, [3, 4, 5]),
        ({"mlp_layer_types": ["dense"] + ["sparse"] * 5}, [1, 2, 3, 4, 5]),
        ({"moe_layer_interval": 1, "moe_layer_start_index": 1}, [1, 2, 3, 4, 5]),
    ],
)
def test_which_layers_have_experts(changes: dict[str, Any], mixtures: list[int]) -> None:
    changes |= {"num_hidden_layers": 6}
    assert [place for place in range(6) if _read(place, **changes).experts] == mixtures


@pytest.mark.parametrize(
    "changes", [{"n_shared_experts": 1}, {"shared_expert_intermediate_size": 50}, {"moe_num_shared_experts": 1}]
)
def test_an_expert_that_every_token_passes_is_dense(changes: dict[str, Any]) -> None:
    assert _read(**changes).dense - _read().dense == 3 * 100 * 50


def test_gemma_4_has_experts_beside_its_feed_forward() -> None:
    assert _read(enable_moe_block=True).dense - _read().dense == 3 * 100 * 400
    assert not _read(enable_moe_block=False).experts
