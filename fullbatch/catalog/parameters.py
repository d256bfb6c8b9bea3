"""How many parameters a model has, by what they are: from its list of layers. Norms and biases are left out.

A test holds the sums against what the engine's own Transformers counts (tests/fixtures/parameters.json).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fullbatch.catalog import feeds, towers
from fullbatch.catalog.config_numbers import number
from fullbatch.catalog.layers import Attention, Layer

# Gemma 3n and 4 give each layer a table of words of its own.
_OWN_TABLE = "hidden_size_per_layer_input"


@dataclass(frozen=True)
class Parameters:
    """Of one model. `embedding`: words in, and words out where that is not the same matrix; `head`: the part of it
    that is words out. `experts`: what only some tokens pass through. `tower`: what sees and hears. `table`: a table of
    n-grams that the engine keeps in the host's memory. `active`: what one token passes through.
    """

    embedding: int
    head: int
    attention: int
    states: int
    dense: int
    experts: int
    tower: int
    active: int
    table: int = 0

    @property
    def total(self) -> int:
        """All that lie on the card."""
        return self.embedding + self.attention + self.states + self.dense + self.experts + self.tower

    @property
    def linear(self) -> int:
        """Those of the decoder's matrices, which quantisation is for."""
        return self.attention + self.states + self.dense + self.experts


def count(facts: dict[str, Any], layers: tuple[Layer, ...], whole: dict[str, Any], causal: bool = True) -> Parameters:
    """`facts` of the decoder, `whole` of the model with all its parts; `causal`: it has words out."""
    hidden, vocab = number(facts, "hidden_size"), number(facts, "vocab_size")
    tied = bool(facts.get("tie_word_embeddings"))
    words = vocab * (number(facts, "embedding_size") or hidden)
    head = 0 if tied or not causal else words
    embedding = words + head + number(facts, "vocab_size_per_layer_input") * number(facts, _OWN_TABLE) * len(layers)
    shared: set[str] = set()
    attention = states = dense = experts = passed = 0
    for place, layer in enumerate(layers):
        if layer.attention and feeds.has_own_attention(facts, shared):
            attention += _attention(facts, layer.attention, hidden, layer.kind)
        if layer.state:
            states += layer.state.parameters
        if not layer.feeds:
            continue
        feed = feeds.read(facts, place, layer.kind, shared)
        dense, experts, passed = dense + feed.dense, experts + feed.experts, passed + feed.passed
    beside = _beside(facts, hidden, len(layers))
    dense += beside
    tower = towers.count(whole, hidden)
    active = head + attention + states + dense + passed
    return Parameters(embedding, head, attention, states, dense, experts, tower, active, towers.table(facts))


def of_head(facts: dict[str, Any], layers: tuple[Layer, ...]) -> int:
    """Of a head that drafts (MTP): a layer as the model's last with attention, and what joins two hidden states to one.

    Words in and out are the model's own.
    """
    hidden = number(facts, "hidden_size")
    place = max((place for place, layer in enumerate(layers) if layer.attention), default=-1)
    attention = layers[place].attention if layers else None
    if attention is None:
        return 0
    feed = feeds.read(facts, place, layers[place].kind, set())
    return _attention(facts, attention, hidden, layers[place].kind) + feed.dense + feed.experts + 2 * hidden * hidden


def _attention(facts: dict[str, Any], layer: Attention, hidden: int, kind: str) -> int:
    if number(facts, "o_lora_rank") and number(facts, "q_lora_rank"):
        return _grouped_out(facts, layer, hidden)
    if layer.latent:
        return _latent(facts, layer, hidden)
    queries, keys = layer.heads * layer.dim, layer.kv_heads * layer.dim
    values, out = layer.kv_heads * layer.value_dim, layer.heads * layer.value_dim * hidden
    if facts.get("model_type") == "zamba2":
        hidden *= 2  # it reads the first embedding too
    gated = queries if feeds.gates_attention(facts) else 0
    if not layer.stores:  # it reads another layer's keys and values
        keys = values = 0
    elif facts.get("attention_k_eq_v") and "sliding" not in kind:
        values = 0
    return hidden * (queries + gated + keys + values) + out


def _latent(facts: dict[str, Any], layer: Attention, hidden: int) -> int:
    """Attention over a compressed latent: down, up, and out."""
    rank, rope = number(facts, "kv_lora_rank"), number(facts, "qk_rope_head_dim")
    plain, value = number(facts, "qk_nope_head_dim"), number(facts, "v_head_dim")
    query, low = layer.heads * (plain + rope), number(facts, "q_lora_rank")
    queries = hidden * low + low * query if low else hidden * query
    index = number(facts, "index_n_heads") * number(facts, "index_head_dim")
    indexer = low * index + hidden * (number(facts, "index_head_dim") + number(facts, "index_n_heads")) if index else 0
    up = rank * layer.heads * (plain + value)
    return queries + hidden * (rank + rope) + up + layer.heads * value * hidden + indexer


def _grouped_out(facts: dict[str, Any], layer: Attention, hidden: int) -> int:
    """DeepSeek V4's: low ranks before and behind, groups of heads behind."""
    low, out, groups = number(facts, "q_lora_rank"), number(facts, "o_lora_rank"), number(facts, "o_groups") or 1
    queries = layer.heads * layer.dim
    return hidden * low + low * queries + 5 * hidden * layer.dim + queries * out + groups * out * hidden


def _beside(facts: dict[str, Any], hidden: int, layers: int) -> int:
    """What Gemma 3n and 4 have in each layer for its own table of words, and Gemma 3n's streams beside the first."""
    own = number(facts, _OWN_TABLE)
    found = layers * 3 * hidden * own if own else 0
    rank, streams = number(facts, "laurel_rank"), number(facts, "altup_num_inputs")
    if rank and streams:
        found += layers * 2 * hidden * rank + 2 * (streams - 1) * hidden * hidden
    return found
