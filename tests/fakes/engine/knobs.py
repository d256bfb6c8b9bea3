"""What can be turned on a fake engine, at start and while it runs."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from tests.fakes.engine.sleeping import SLEEP_FAULTS

FAULTS = {
    "none": "behaves",
    "refuse": "the port refuses connections (what is running goes on); `for_s` ends it by itself",
    "slow-start": "as vLLM while it loads: refuses connections for slow_start_s, then behaves",
    "before-headers": "takes the request and closes the connection without one byte",
    "mid-stream": "closes the connection after half of the tokens, in the middle of the framing",
    "stall": "as vLLM with a frozen EngineCore: /health says 200, no token comes any more",
    "garbage": "answers with bytes that are not HTTP",
    "no-done": "ends a stream cleanly but without `data: [DONE]`",
    "error-event": "as vLLM when its EngineCore dies: an error event, then [DONE], then a clean end",
    "unhealthy": "/health says 503",
    "grammar": "as vLLM that compiles a huge schema: structured requests get nothing, plain ones go on",
    "deaf": "answers no GET, as a front end that is too busy for polls; completions go on",
    "draining": "as vLLM after SIGTERM with --shutdown-timeout: /health 200, new requests 500, the running go on",
    "poison": "requests that hold the word poison are answered 500, all others well",
    "defect": "new requests are answered 500, as for a defect of the engine",
}
ANSWERS = {
    "text": "words",
    "reasoning": "words, the first half of them as reasoning",
    "tools": "one call of the function `tool`, in as many pieces as there are tokens",
    "loop": "as tools until a chat that offers that function has its result; words that end by themselves",
}


@dataclass
class Knobs:
    """Times in milliseconds; ``jitter`` is the share by which each time is varied (0.2: up to 20 % either way).

    ``step_ms``: with it the engine works in steps of so long, in which all that run get a token, and ``prefill_us``
    longer for each prompt token in one, at most ``step_tokens``; ``ttft_ms`` and ``itl_ms`` are of no use then.
    ``dies_after_s``: the process ends with exit code 3 then, as one does that cannot load its model; 0 is never.
    ``sse_keep_alive_s``: a stream gets a comment so often while it runs, whatever the core does; 0 is never.
    """

    model: str = "tiny"
    ttft_ms: float = 20.0
    itl_ms: float = 5.0
    tokens: int = 16
    jitter: float = 0.0
    max_num_seqs: int = 64
    max_model_len: int = 4096
    kv_tokens: int = 1_048_576
    block_size: int = 16
    token_chars: int = 5
    step_ms: float = 0.0
    prefill_us: float = 40.0
    step_tokens: int = 2048
    fault: str = "none"
    slow_start_s: float = 3.0
    shutdown_timeout_s: float = 0.0
    answer: str = "text"
    tool: str = "get_weather"
    arguments: str = '{"city": "Tokyo"}'
    sse_keep_alive_s: float = 0.0
    sleep_fault: str = "none"
    dies_after_s: float = 0.0

    def change(self, values: dict[str, Any]) -> None:
        """Set several knobs at once.

        Raises:
            ValueError: a knob or a fault that does not exist, or a value of the wrong type; nothing is changed then.
        """
        kinds = {field.name: type(getattr(self, field.name)) for field in fields(self)}
        checked: dict[str, Any] = {}
        for name, value in values.items():
            kind = kinds.get(name)
            if kind is None:
                raise ValueError(f"no knob {name!r}; there are {', '.join(kinds)}")
            if not isinstance(value, (int, float) if kind in (int, float) else kind):
                raise ValueError(f"knob {name!r} takes {kind.__name__}, not {value!r}")
            checked[name] = kind(value)
        if checked.get("fault", "none") not in FAULTS:
            raise ValueError(f"no fault {checked['fault']!r}; there are {', '.join(FAULTS)}")
        if checked.get("answer", "text") not in ANSWERS:
            raise ValueError(f"no answer {checked['answer']!r}; there are {', '.join(ANSWERS)}")
        if checked.get("sleep_fault", "none") not in SLEEP_FAULTS:
            raise ValueError(f"no sleep_fault {checked['sleep_fault']!r}; there are {', '.join(SLEEP_FAULTS)}")
        for name, value in checked.items():
            setattr(self, name, value)
