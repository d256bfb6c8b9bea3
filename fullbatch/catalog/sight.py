"""What a model that sees makes of a picture: tokens. From its config.json, completed; `towers` counts what it weighs.

Source: the processors of vLLM 0.32.0 in vllm/model_executor/models/ (qwen2_vl.py, qwen3_vl.py, gemma3_mm.py,
gemma4_mm.py, pixtral.py), read; none was run here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fullbatch.catalog import classes
from fullbatch.catalog.config_numbers import number

_PARTS = ("vision_config", "visual_config", "vit_config")
# Qwen's processors make at most as many tokens of a picture, unless they are told otherwise (preprocessor_config.json:
# 16384 x 28 x 28 and 16384 x 32 x 32 pixels; from memory).
_MOST = 16_384
# Gemma 4 makes one of 70, 140, 280, 560 and 1120.
_GEMMA_4 = 280
_GEMMA_3 = 256
_UNKNOWN = 1000


@dataclass(frozen=True)
class Sight:
    """`gib`: of what sees and hears, at 16 bit. `tokens`: of one picture at most. `side`: of the square of pixels that
    is one token, 0: all pictures cost the same. `scaled`: its processor can be told to make pictures smaller
    (`max_pixels`). `known`: False where `tokens` is only a guess.
    """

    gib: float
    tokens: int
    side: int = 0
    scaled: bool = False
    known: bool = True


def read(whole: dict[str, Any], parameters: int) -> Sight | None:
    """The sight of the model whose config.json is `whole`; None where it has none. `parameters`: of all its towers."""
    part = next((whole[name] for name in _PARTS if isinstance(whole.get(name), dict) and whole[name]), None)
    gib, kind = parameters * 2 / 2**30, str(whole.get("model_type"))
    # The 12B of Gemma 4 sees without a tower; of others a row of the catalog may leave it out.
    if classes.TEXT in whole and kind.startswith(("gemma3", "gemma4")):
        return Sight(gib, number(whole, "mm_tokens_per_image") or (_GEMMA_4 if kind.startswith("gemma4") else _GEMMA_3))
    if part is None or not parameters:
        return None
    merged = number(part, "spatial_merge_size") or number(whole, "spatial_merge_size")
    side = number(part, "patch_size") * merged
    if kind.startswith(("qwen2_vl", "qwen2_5_vl", "qwen3_vl", "qwen3_5")) and side:
        return Sight(gib, _MOST, side, scaled=True)
    if kind.startswith("mistral3") and side and number(part, "image_size"):
        rows = -(-number(part, "image_size") // side)
        return Sight(gib, rows * (rows + 1), side)  # a token more ends each row
    return Sight(gib, _UNKNOWN, known=False)
