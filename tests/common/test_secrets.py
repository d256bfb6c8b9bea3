"""What looks like a secret is not repeated, and what says what is wrong is."""

from __future__ import annotations

from typing import Any

import pytest

from common.secrets import HIDDEN, masked, shown


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("hf-token", "S3CRET"),
        ("ssl-keyfile-password", "S3CRET"),
        ("otlp-traces-endpoint", "https://me:S3CRET@collector.example:4317"),
        ("max-num-seqs", "hf_S3CRETabcdefghijklmn"),
        ("max-num-seqs", "fb-S3CRET-abc_defghij"),
        ("dtype", "sk-proj-S3CRETS3CRET"),
        ("dtype", "abcdef0123456789S3CRET"),
        ("model-loader-extra-config", {"endpoint": "s3://a", "secret_access_key": "S3CRET"}),
        ("kv-transfer-config", '{"token": "S3CRET"}'),
        ("middleware", ["a", "Authorization: Bearer S3CRET"]),
        ("dtype", ("x " * 100) + "S3CRET"),
    ],
)
def test_a_message_does_not_quote_what_looks_like_a_secret(name: str, value: Any) -> None:
    said = shown(name, value)
    assert "S3CRET" not in said and HIDDEN in said and len(said) <= 120


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("dtype", "fp7"),
        ("max-num-seqs", 4.5),
        ("max-num-batched-tokens", "many"),
        ("hf-overrides", [None, True]),
        ("quantization", "compressed-tensors"),
        ("speculative-config", {"model": "Qwen/Qwen2.5-0.5B-Instruct", "num_speculative_tokens": 3}),
        ("tokenizer", "/models/Meta-Llama-3.1-8B-Instruct-FP8"),
        ("otlp-traces-endpoint", "http://collector.example:4317"),
    ],
)
def test_a_message_quotes_what_is_wrong(name: str, value: Any) -> None:
    assert shown(name, value) == repr(value)


def test_of_a_text_of_others_only_what_is_known_as_a_secret_is_left_out() -> None:
    said = "vllm: error: argument --dtype: invalid choice: 'hf_S3CRETabcdef' (choose from auto, float16)"
    assert masked(said) == said.replace("hf_S3CRETabcdef", HIDDEN)
    assert masked("HF_TOKEN=S3CRET OMP_NUM_THREADS=8") == f"HF_TOKEN={HIDDEN} OMP_NUM_THREADS=8"
    assert masked("--hf-token S3CRET --max-num-batched-tokens 2048") == (
        f"--hf-token {HIDDEN} --max-num-batched-tokens 2048"
    )


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("see http://me:word@host:1/path for it", "see http://...@host:1/path for it"),
        ("https://a:b@c:d@host", "https://...@host"),
        ("no address: me@host", "no address: me@host"),
        ("http://host/path", "http://host/path"),
        ("http://me:w/rd@host/x", "http://...@host/x"),
    ],
)
def test_no_password_of_an_address_is_shown(text: str, left: str) -> None:
    assert masked(text) == left
