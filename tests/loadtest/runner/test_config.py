"""Key and meta files."""

from __future__ import annotations

from pathlib import Path

import pytest

from loadtest.core.errors import UsageProblem
from loadtest.runner.config import read_key, read_keys, read_meta, read_side


def test_the_first_key_counts(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("# who\n\n  fb-one  \nfb-two\n")
    assert read_key(tmp_path / "keys") == "fb-one"
    assert read_key(None) is None


@pytest.mark.parametrize("text", ["", "# only a comment\n", "three words here\n", "schlüssel\n"])
def test_a_file_without_a_usable_key_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "keys").write_text(text)
    with pytest.raises(UsageProblem) as refused:
        read_key(tmp_path / "keys")
    assert str(tmp_path / "keys") in str(refused.value)
    assert "words here" not in str(refused.value)


def test_meta_is_an_object(tmp_path: Path) -> None:
    path = tmp_path / "meta.json"
    path.write_text('{"gpu": "RTX 4090"}')
    assert read_meta(path) == {"gpu": "RTX 4090"}
    for wrong, expected in (("[1]", "write a JSON object"), ("{", "not JSON")):
        path.write_text(wrong)
        with pytest.raises(UsageProblem, match=expected):
            read_meta(path)


def test_a_name_after_a_key_is_the_servers_business(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("fb-one first\nfb-two   locust\n")
    assert read_keys(tmp_path / "keys") == ("fb-one", "fb-two")


def test_all_keys_are_read_in_order(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("# who\nfb-one\n\nfb-two\n")
    assert read_keys(tmp_path / "keys") == ("fb-one", "fb-two")
    assert read_keys(None) == (None,)


def test_a_side_is_a_name_and_an_address_with_what_belongs_to_it(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("fb-one\n")
    (tmp_path / "meta.json").write_text('{"gpu": "none"}')
    more = f"model=m/n,key-file={tmp_path}/keys,metrics=http://a/metrics,metrics=http://b/metrics"
    side = read_side(f"left=http://127.0.0.1:8080/v1,{more},pid=7,meta={tmp_path}/meta.json")
    assert (side.name, side.base_url, side.model) == ("left", "http://127.0.0.1:8080/v1", "m/n")
    assert (side.keys, side.pids, side.meta) == (("fb-one",), (7,), {"gpu": "none"})
    assert side.engine_metrics == ("http://a/metrics", "http://b/metrics")
    assert "fb-one" not in repr(side)
    assert read_side("right=http://x").model == ""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://x", "write name=url"),
        ("Left=http://x", "name of a-z, 0-9"),
        ("left=", "write name=url"),
        ("left=http://x,modell=m", "'modell=m' is not one of model=…, key-file=…"),
        ("left=http://x,model=", "'model=' is not one of"),
        ("left=http://x,model=a,model=b", "side left: model is given twice; give it once"),
        ("left=http://x,pid=0", "pid=0: write a whole number above 0"),
    ],
)
def test_a_side_with_a_mistake_is_refused(text: str, expected: str) -> None:
    with pytest.raises(UsageProblem) as refused:
        read_side(text)
    assert expected in str(refused.value)
