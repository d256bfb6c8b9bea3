"""Run by the engine's own Python: what its parsers make of texts as models write them, whole and in pieces.

Reads a JSON list of cases on standard input and writes a list of readings. The tokenizer is made here, of bytes and
the marks that a case names, so that no weights and no hub are needed. Imports nothing of ours: it runs in an
environment of its own.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from functools import partial
from typing import Any


def tokenizer_of(marks: list[str]) -> Any:
    """Bytes, and one token for each mark."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    made = Tokenizer(models.BPE(vocab={byte: number for number, byte in enumerate(alphabet)}, merges=[]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens(["<|end|>", *marks])
    return PreTrainedTokenizerFast(tokenizer_object=made, eos_token="<|end|>", pad_token="<|end|>")


def pieces(text: str, marks: list[str], size: int) -> list[str]:
    """As it would be streamed: marks whole, the rest letter by letter, ``size`` of these at once."""
    pattern = "|".join([*map(re.escape, sorted(marks, key=len, reverse=True)), "."])
    single = re.findall(pattern, text, re.DOTALL)
    return ["".join(single[at : at + size]) for at in range(0, len(single), size)]


class Case:
    """One text of one family."""

    def __init__(self, facts: dict[str, Any]) -> None:
        from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest
        from vllm.parser.parser_manager import ParserManager

        self.marks: list[str] = facts["marks"]
        self.raw: str = facts["raw"]
        self.kwargs: dict[str, Any] = facts["kwargs"]
        self.tokenizer = tokenizer_of(self.marks)
        self.prompt = self._ids(facts["prompt"])
        # With a tokenizer it is checked as when the engine starts.
        self.kind = ParserManager.get_parser(
            facts["tools"] or None, facts["thinking"] or None, bool(facts["tools"]), "m", tokenizer=self.tokenizer
        )
        message = {"role": "user", "content": "x"}
        self.asked = {"model": "m", "messages": [message], "tools": facts["offered"], "tool_choice": "auto"}
        self.request: Any = ChatCompletionRequest.model_validate(self.asked)

    def whole(self) -> dict[str, Any]:
        """As a whole answer is read."""
        parser = self._parser()
        parser.set_prompt_token_ids(self.prompt)
        thought, content, calls = parser.parse(self.raw, self.request, True, self._ids(self.raw))
        read = [[call.name, json.loads(call.arguments)] for call in calls or []]
        return {"thinking": thought or "", "content": content or "", "calls": read}

    def streamed(self, size: int) -> dict[str, Any]:
        """As a stream is read, put together again."""
        parser = self._parser()
        calls: dict[int, list[str]] = {}
        told = {"thinking": "", "content": ""}
        parts = pieces(self.raw, self.marks, size)
        for number, part in enumerate(parts):
            last = number == len(parts) - 1
            delta = parser.parse_delta(part, self._ids(part), self.request, self.prompt, finished=last)
            if delta is None:
                continue
            told["thinking"] += delta.reasoning or ""
            told["content"] += delta.content or ""
            for call in delta.tool_calls or []:
                name_and_arguments = calls.setdefault(call.index, ["", ""])
                if call.function:
                    name_and_arguments[0] += call.function.name or ""
                    name_and_arguments[1] += call.function.arguments or ""
        return told | {"calls": [[name, json.loads(text)] for name, text in calls.values()]}

    def _parser(self) -> Any:
        return self.kind(self.tokenizer, self.request.tools, chat_template_kwargs=self.kwargs, model_config=None)

    def _ids(self, text: str) -> list[int]:
        return list(self.tokenizer.encode(text, add_special_tokens=False))


def reading(facts: dict[str, Any]) -> dict[str, Any]:
    """Every way of reading one text."""
    case = Case(facts)
    ways = {"whole": case.whole} | {f"{size} at once": partial(case.streamed, size) for size in (1, 5)}
    return {name: _read(way) for name, way in ways.items()}


def _read(way: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    try:
        return way()
    except json.JSONDecodeError as error:
        return {"thinking": "", "content": "", "calls": [f"arguments that are no JSON: {error}"]}


def main() -> None:
    readings = [reading(facts) for facts in json.load(sys.stdin)]
    sys.stdout.write("\n" + json.dumps(readings) + "\n")


if __name__ == "__main__":
    main()
