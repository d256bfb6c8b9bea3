"""Lists of models, as each API's clients read them."""

from __future__ import annotations

from anthropic.types import ModelInfo
from openai.types import Model

from gateway.api import model_cards
from tests.gateway.bodies.test_abilities import ABLE, engine

SINCE = "2026-11-30T00:00:00+00:00"


def test_p183_openais_card_says_what_fits_and_what_it_can() -> None:
    card = model_cards.openai("m", ABLE, 7, SINCE)
    assert Model.model_validate(card).id == "m"
    assert card["max_model_len"] == card["context_length"] == 8192
    assert card["capabilities"] == ["completion", "tools", "thinking"]
    assert model_cards.openai("m", engine(), 7, SINCE)["capabilities"] == ["completion"]


def test_p183_anthropics_card_is_what_its_client_takes_to_the_letter() -> None:
    found = ModelInfo.model_validate(model_cards.anthropic("m", ABLE, 7, SINCE), strict=False)
    assert found.max_input_tokens == 8192 and found.capabilities is not None
    can = found.capabilities
    assert can.thinking.supported and can.thinking.types.enabled.supported and can.structured_outputs.supported
    assert not can.image_input.supported and not can.batch.supported and not can.server_tools.supported
    sees = engine(capabilities=("completion", "vision"))
    looks = ModelInfo.model_validate(model_cards.anthropic("m", sees, 7, SINCE)).capabilities
    assert looks is not None and looks.image_input.supported
    assert not looks.thinking.supported and looks.thinking.types.disabled.supported
