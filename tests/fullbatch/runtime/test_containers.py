from __future__ import annotations

from fullbatch.runtime import containers


def test_what_listens_to_everybody_inside_is_told_apart_by_ports() -> None:
    here = containers.addresses({"engine": "http://engine:8000"})
    assert (here.listen_host, here.engine_host) == ("0.0.0.0", "0.0.0.0")
    assert len({here.listen_port, here.metrics_port, here.engine_port}) == 3
    assert here.engine_urls == {"engine": "http://engine:8000"}
    assert here.hub.startswith(here.models)
