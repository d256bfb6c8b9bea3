"""Which parsers a model gets: by its family, by its name, and by its own chat template where that is known."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from fullbatch import catalog
from fullbatch.catalog import Model, config_json, families, parsers

QWEN3 = catalog.models()["Qwen/Qwen3-8B"]
LLAMA = catalog.models()["meta-llama/Llama-3.1-8B-Instruct"]
HERMES = "{% if tools %}<tool_call>{{ tools }}</tool_call>{% endif %}"


def _of(name: str, model_type: str = "qwen3", template: str | None = None, base: Model = QWEN3) -> families.Family:
    model = dataclasses.replace(base, name=name, base=name, model_type=model_type, chat_template=template)
    return families.of(model)


def test_every_parser_is_one_of_the_pinned_engines() -> None:
    for family, _, _ in families.rows():
        assert not family.tools or family.tools in parsers.tool(), family.name
        assert not family.thinking or family.thinking in parsers.reasoning(), family.name
    marked = catalog.read("families.yaml")["marks"]
    assert {one["tools"] for one in marked} <= parsers.tool()


def test_a_family_says_why_it_has_no_parser_and_whence_it_is_known() -> None:
    for family, _, _ in families.rows():
        assert bool(family.tools) != bool(family.why_no_tools), family.name
        assert bool(family.thinking) != bool(family.why_no_thinking), family.name
        assert not family.tools or family.mark or family.own_template, family.name
        assert not (family.switch or family.thinks or family.kwargs) or family.thinking, family.name
    facts = catalog.read("families.yaml")["families"]
    assert all(len(one["source"]) > 3 for one in facts)
    assert len({one["name"] for one in facts}) == len(facts)


def test_every_model_of_the_catalog_has_a_family() -> None:
    found = {name: families.of(model).name for name, model in catalog.models().items()}
    assert [name for name, family in found.items() if family == "unknown"] == []


@pytest.mark.parametrize(
    ("name", "model_type", "tools", "thinking"),
    [
        ("Qwen/Qwen2.5-7B-Instruct", "qwen2", "hermes", ""),
        ("Qwen/QwQ-32B", "qwen2", "hermes", "deepseek_r1"),
        ("Qwen/Qwen3-8B", "qwen3", "hermes", "qwen3"),
        ("Qwen/Qwen3-4B-Instruct-2507", "qwen3", "hermes", ""),
        ("Qwen/Qwen3-4B-Thinking-2507", "qwen3", "hermes", "qwen3"),
        ("Qwen/Qwen3-30B-A3B-Instruct-2507", "qwen3_moe", "hermes", ""),
        ("Qwen/Qwen3-Coder-30B-A3B-Instruct", "qwen3_moe", "qwen3_coder", ""),
        ("Qwen/Qwen3-8B-Base", "qwen3", "", ""),
        ("google/gemma-3-4b-pt", "gemma3", "", ""),
        ("Qwen/Qwen3-Embedding-8B", "qwen3", "", ""),
        ("Qwen/Qwen3-Reranker-0.6B", "qwen3", "", ""),
        ("deepseek-ai/DeepSeek-R1-Distill-Qwen-7B", "qwen2", "", "deepseek_r1"),
        ("deepseek-ai/DeepSeek-R1-Distill-Llama-8B", "llama", "", "deepseek_r1"),
        ("deepseek-ai/DeepSeek-R1-0528-Qwen3-8B", "qwen3", "", "deepseek_r1"),
        ("meta-llama/Llama-3.3-70B-Instruct", "llama", "llama3_json", ""),
        ("RedHatAI/Meta-Llama-3.1-8B-Instruct-FP8", "llama", "llama3_json", ""),
        ("/srv/models/llama-of-ours", "llama", "", ""),
        ("unsloth/Qwen3.8-27B-NVFP4", "qwen3_5", "qwen3_coder", "qwen3"),
        ("openai/gpt-oss-20b", "gpt_oss", "openai", "openai_gptoss"),
        ("google/gemma-4-31B-it", "gemma4", "gemma4", "gemma4"),
        ("zai-org/GLM-4.5-Air", "glm4_moe", "glm45", "glm45"),
        ("zai-org/GLM-4.7-Flash", "glm4_moe_lite", "glm47", "glm45"),
        ("nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B-FP8", "nemotron_h", "qwen3_coder", "nemotron_v3"),
        ("moonshotai/Kimi-K2-Thinking", "kimi_k2", "kimi_k2", "kimi_k2"),
        ("moonshotai/Kimi-K2-Instruct", "kimi_k2", "kimi_k2", ""),
        ("microsoft/Phi-4-mini-instruct", "phi3", "", ""),
        ("someone/new-model", "brand_new", "", ""),
    ],
)
def test_by_type_and_name(name: str, model_type: str, tools: str, thinking: str) -> None:
    found = _of(name, model_type)
    assert (found.tools, found.thinking) == (tools, thinking)


def test_a_quantised_checkpoint_is_of_its_models_family() -> None:
    for name in ("Qwen/Qwen3-8B-AWQ", "hugging-quants/Meta-Llama-3.1-70B-Instruct-AWQ-INT4"):
        assert families.of(catalog.models()[name]).tools in ("hermes", "llama3_json")
    assert families.of(catalog.models()["cyankiwi/gemma-4-26B-A4B-it-AWQ-4bit"]).tools == "gemma4"


def test_what_makes_vectors_calls_nothing() -> None:
    found = families.of(catalog.models()["BAAI/bge-m3"])
    assert (found.tools, found.thinking) == ("", "")
    assert "no text" in families.of(dataclasses.replace(QWEN3, pooling=True)).why_no_tools


def test_a_template_without_tools_has_no_parser() -> None:
    """A fine-tune may have lost them; a request would be answered as if none were there."""
    found = _of("someone/Qwen3-8B-story", template="{{ messages }}<think>")
    assert (found.tools, found.thinking) == ("", "qwen3")
    assert found.why_no_tools == "its chat template has no place for tools"


def test_no_template_at_all_is_a_base_model() -> None:
    found = _of("someone/Qwen3-8B-tuned", template="")
    assert (found.tools, found.thinking) == ("", "")
    assert "no chat template" in found.why_no_tools


def test_a_model_that_the_engine_renders_itself_needs_no_template() -> None:
    assert _of("deepseek-ai/DeepSeek-V3.2", "deepseek_v32", template="").tools == "deepseek_v32"


def test_another_familys_template_brings_its_parser() -> None:
    """A Llama taught with Hermes' turns writes calls as Hermes does, and has no <|python_tag|> maybe."""
    assert _of("NousResearch/Hermes-3-Llama-3.1-8B", "llama", HERMES, LLAMA).tools == "hermes"
    assert _of("someone/ours", "brand_new", "{{ tools }}[TOOL_CALLS]").tools == "mistral"


def test_calls_that_are_written_in_another_way_are_not_guessed() -> None:
    found = _of("someone/ours", "llama", "{{ tools }} call them with ACTION:", LLAMA)
    assert found.tools == ""
    assert "not known here" in found.why_no_tools


def test_a_template_that_does_not_think_takes_no_parser_of_thinking() -> None:
    found = _of("someone/Qwen3-8B-quick", template=HERMES)
    assert (found.tools, found.thinking) == ("hermes", "")
    assert found.why_no_thinking == "its chat template has no thinking"


def test_a_folders_template_is_read(tmp_path: Path) -> None:
    """As a person's own fine-tune lies on the disk."""
    config = '{"architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "hidden_size": 64, "vocab_size": 100}'
    (tmp_path / "config.json").write_text(config)
    assert config_json.read(tmp_path).chat_template is None
    (tmp_path / "tokenizer_config.json").write_text("{}")
    assert config_json.read(tmp_path).chat_template == ""
    (tmp_path / "chat_template.jinja").write_text(HERMES)
    model = config_json.read(tmp_path)
    assert (model.model_type, model.chat_template, model.sees) == ("qwen3", HERMES, False)
