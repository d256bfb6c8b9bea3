"""Run by the engine's own Python: vLLM's disk tier, made of the words that a plan gives the engine, without a card.

Reads JSON on standard input: `argv` (words after `vllm serve`), `tokens`. Writes blocks through the tier, prints their
paths, waits for a line (the caller prunes meanwhile), looks for them and loads them again, and prints what it got.
What a card would do, copy its own blocks into the memory tier, is left out.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import numpy as np
from vllm.engine.arg_utils import AsyncEngineArgs
from vllm.utils.argparse_utils import FlexibleArgumentParser
from vllm.v1.kv_offload import config as offload
from vllm.v1.kv_offload.base import LookupResult, ReqContext, ScheduleEndContext, make_offload_key
from vllm.v1.kv_offload.factory import OffloadingSpecFactory
from vllm.v1.kv_offload.tiering.base import TransferJob

BLOCKS, BYTES = 4, 4096


def connector(argv: list[str]) -> Any:
    """KVTransferConfig, as the engine's own parser and classes make it of the flag."""
    parser = AsyncEngineArgs.add_cli_args(FlexibleArgumentParser())
    known, _ = parser.parse_known_args(argv)
    return AsyncEngineArgs.from_cli_args(known).kv_transfer_config


def spec(extra: dict[str, Any]) -> Any:
    parallel = offload.OffloadingParallelConfig(
        rank=0, world_size=1, tp_size=1, pp_size=1, pcp_size=1, dcp_size=1, data_parallel_index=0, data_parallel_size=1,
        data_parallel_rank_local=None, is_parallelism_agnostic=True,
    )  # fmt: skip
    return OffloadingSpecFactory.create_spec(
        offload.OffloadingConfig(
            groups=(offload.OffloadingGroupConfig(16, ("layer",), 0),), worker_kv_bytes_per_block=BYTES,
            enable_kv_cache_events=False, extra_config=extra | {"cpu_bytes_to_use": 64 * BYTES},
            engine_id=f"test-{time.time_ns()}", model=offload.OffloadingModelConfig("org/model", "bfloat16"),
            cache=offload.OffloadingCacheConfig(16, 1), parallel=parallel,
        )
    )  # fmt: skip


def finished(tier: Any) -> Any:
    for _ in range(1000):
        for result in tier.get_finished_jobs():
            return result
        time.sleep(0.01)
    raise TimeoutError("the tier does not answer")


def looked_up(tier: Any, keys: list[Any]) -> list[bool]:
    request = ReqContext("r")
    tier.on_new_request(request)
    found: list[LookupResult] = []
    for _ in range(1000):
        found = [tier.lookup(key, request) for key in keys]
        if LookupResult.RETRY not in found:
            break
        tier.on_schedule_end(ScheduleEndContext(new_req_ids=[], preempted_req_ids=[]))
        time.sleep(0.01)
    return [one is LookupResult.HIT for one in found]


def say(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def main() -> None:
    given = json.loads(sys.stdin.readline())
    told = connector(given["argv"])
    manager = spec(dict(told.kv_connector_extra_config)).get_manager()
    (tier,) = manager.secondary_tiers
    view = manager.primary_tier.get_kv_memoryview()
    block = np.frombuffer(view, dtype=np.uint8).reshape(-1, view.strides[0])
    keys = [make_offload_key(bytes([number]) * 32, 0) for number in range(BLOCKS)]
    places = np.arange(BLOCKS)
    block[:BLOCKS] = np.arange(1, BLOCKS + 1, dtype=np.uint8)[:, None]
    tier.submit_store(TransferJob(1, keys, places, False, ReqContext("s")))
    stored = finished(tier).success
    paths = [tier.file_mapper.get_file_name(key) for key in keys]
    say({"stored": stored, "paths": paths, "connector": told.kv_connector, "role": told.kv_role})
    sys.stdin.readline()
    block[:] = 0
    hits = looked_up(tier, keys)
    tier.submit_load(TransferJob(2, keys, places, True, ReqContext("l")))
    loaded = finished(tier)
    right = [bool((block[number] == number + 1).all()) for number in range(BLOCKS)]
    kept = [keys.index(key) for key in loaded.successful_keys or ()]
    say({"hits": hits, "success": loaded.success, "kept": kept, "right": right})
    tier.shutdown()
    manager.shutdown()


if __name__ == "__main__":
    main()
