from __future__ import annotations

from fullbatch import catalog
from fullbatch.catalog import classes


def test_what_was_recorded_is_of_the_pinned_engine() -> None:
    assert classes.recorded()["versions"]["vllm"] == catalog.engine().version


def test_what_is_left_out_is_what_the_class_takes() -> None:
    """Gemma 3 27B's config.json has no vocabulary, no length, and does not say that words in and out are the same."""
    found = classes.completed(
        {"model_type": "gemma3", "text_config": {"model_type": "gemma3_text", "hidden_size": 5376}}
    )
    text = found["text_config"]
    assert (text["vocab_size"], text["max_position_embeddings"], text["hidden_size"]) == (262208, 131072, 5376)
    assert found["tie_word_embeddings"] is True
    assert found["vision_config"]["model_type"] == "siglip_vision_model"


def test_null_is_said() -> None:
    """Mistral's class has a window, Mistral 7B v0.3 says it has none."""
    assert classes.completed({"model_type": "mistral"})["sliding_window"] == 4096
    assert classes.completed({"model_type": "mistral", "sliding_window": None})["sliding_window"] is None


def test_other_names_of_a_key_mean_the_same() -> None:
    found = classes.completed({"model_type": "gpt2", "n_embd": 1600, "n_layer": 48})
    assert (found["hidden_size"], found["num_hidden_layers"]) == (1600, 48)
    assert classes.completed({"model_type": "gpt2", "hidden_size": 1600})["n_embd"] == 1600


def test_the_decoder_of_a_thinker_is_its_own_text_part() -> None:
    found = classes.completed(
        {"model_type": "qwen3_omni_moe", "thinker_config": {"text_config": {"hidden_size": 2048}}}
    )
    assert found["text_config"]["hidden_size"] == 2048


def test_the_class_of_an_architecture_where_no_model_type_is_written() -> None:
    assert classes.model_type({"architectures": ["DeepseekV3ForCausalLM"]}) == "deepseek_v3"
    assert classes.is_known({"architectures": ["LongcatFlashForCausalLM"]})
    assert not classes.is_known({"architectures": ["WonderForCausalLM"]})


def test_the_registry() -> None:
    assert classes.kind("Qwen3ForCausalLM") == "generate"
    assert classes.kind("BertModel") == "pooling"
    assert classes.kind("Qwen3_5MTP") == "draft"
    assert classes.kind("WonderForCausalLM") is None
    assert classes.gone("Phi4FlashForCausalLM") == "0.10.2"
    assert classes.gone("Qwen3ForCausalLM") is None
    assert classes.has_stand_in("BambaForCausalLM")
