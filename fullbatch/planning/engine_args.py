"""`engine.args` of a profile against the flags of the pinned engine: known, set where it belongs, of its kind. Pure.

A flag may be written with a part of its JSON, as vLLM takes it: `compilation-config.mode: 3`.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

from common.faults import did_you_mean
from common.secrets import shown
from fullbatch import catalog
from fullbatch.catalog import engine_flags
from fullbatch.catalog.engine_flags import Taken

# As vLLM reads it (utils/argparse_utils.py, human_readable_int): small letters count in thousands, capitals in 1,024.
_SIZE = re.compile(r"(\d+(?:\.\d+)?)([kmgtKMGT])")
_POWER = {"k": 1, "m": 2, "g": 3, "t": 4}
# What compiles the form of an answer, as far as gateway/bodies/compile_cost.py knows the times. `auto` chooses itself;
# it takes outlines where nothing else can, which is reckoned with there.
_STRUCTURED, _BACKENDS = "structured-outputs-config", ("auto", "xgrammar", "guidance")
# Characters of a number that is read: more is no count of anything.
_LONGEST = 18
_WRITE = {
    "switch": "write true or false",
    "mark": "write true, or remove it",
    "integer": "write a whole number",
    "number": "write a number",
    "size": "write a whole number, or one such as 8G",
    "json": "write a mapping or its JSON",
    "text": "write a text or a number",
}


def faults(args: Mapping[str, Any]) -> list[str]:
    """What is wrong with each flag, as `NAME: what would be right`."""
    found = [(name, _fault(name, value)) for name, value in args.items()]
    said = [f"{name}: {fault}" for name, fault in found if fault]
    backend = parts(args, _STRUCTURED).get("backend", _BACKENDS[0])
    if backend not in _BACKENDS and not said:
        bounded = "the gateway bounds what it knows how long the engine compiles"
        said.append(
            f"{_STRUCTURED}: backend {shown('backend', backend)}: write one of {', '.join(_BACKENDS)}; {bounded}"
        )
    return said


def environment_faults(variables: Mapping[str, str]) -> list[str]:
    """The same for `engine.env`: variables that a setting stands for."""
    settings = engine_flags.environment()
    return [f"{name}: use {settings[name]} instead" for name in variables if name in settings]


def whole(value: Any) -> int | None:
    """A whole number above 0, also written as 16k or 8G; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None
    text = str(value).strip()
    if len(text) > _LONGEST:
        return None
    match = _SIZE.fullmatch(text)
    if match:
        number, unit = match.groups()
        if unit.isupper() and "." in number:  # as vLLM
            return None
        return int(float(number) * (1024 if unit.isupper() else 1000) ** _POWER[unit.lower()]) or None
    return int(text) if text.isascii() and text.isdecimal() and int(text) else None


def words(name: str, value: Any) -> list[str]:
    """A flag as command-line words."""
    if isinstance(value, bool) and "." not in name:
        return [f"--{name}" if value else f"--no-{name}"]
    known = engine_flags.taken().get(name, Taken("text"))
    if not isinstance(value, list) or not known.several:
        return [f"--{name}", _word(value)]
    if known.several == "repeated":
        return [word for one in value for word in (f"--{name}", _word(one))]
    return [f"--{name}", *map(_word, value)]


def parts(args: Mapping[str, Any], flag: str) -> dict[str, Any]:
    """A flag that takes JSON as a mapping, parts written with a dot included; empty where it is not given, or none."""
    found = args.get(flag, {})
    if isinstance(found, str):
        try:
            found = json.loads(found)
        except ValueError:
            found = {}
    dotted = {name.split(".")[1]: value for name, value in args.items() if name.startswith(f"{flag}.")}
    return (found if isinstance(found, dict) else {}) | dotted


def native_context(args: Mapping[str, Any], native: int) -> int:
    """The longest context of a model made for `native` tokens, as `hf-overrides` moves it."""
    found = parts(args, "hf-overrides")
    text = found.get("text_config")
    said = (found | text if isinstance(text, dict) else found).get("max_position_embeddings")
    return whole(said) or native


def _fault(name: str, value: Any) -> str | None:
    head = name.split(".")[0]
    if name.startswith("-") or "_" in head:
        return "write the flag without dashes in front and with '-', such as max-num-seqs"
    gone = catalog.flags()["gone"]
    if head in gone:
        return f"vLLM {catalog.engine().version} refuses it; {gone[head]['instead']}"
    known = engine_flags.taken()
    if head not in known:
        positive = head.removeprefix("no-")
        if positive in known and known[positive].takes == "switch":
            return f"write {positive}: false"
        return f"vLLM {catalog.engine().version} has no such flag{did_you_mean(head, known, cutoff=0.7)}"
    meaning = engine_flags.meanings()[head]
    if meaning.kind == "ours":
        return f"{meaning.says}; remove it"
    if meaning.kind == "setting":
        return f"use {meaning.says}, and remove this"
    if meaning.kind == "refused":
        return meaning.says
    return _wrong_value(name, value, known[head])


def _wrong_value(name: str, value: Any, taken: Taken) -> str | None:
    if "." in name:
        if taken.takes != "json":
            return f"{name.split('.')[0]} has no parts; write it without the dot"
        return None if value is not None else "None: write a value"
    if isinstance(value, list) and taken.several:
        wrong = [_wrong(name, one, taken) for one in value] or ["[]: write at least one"]
        return next((said for said in wrong if said), None)
    return _wrong(name, value, taken)


def _wrong(name: str, value: Any, taken: Taken) -> str | None:
    if not _fits(value, taken):
        also = ", or a list" if taken.several else ""
        return f"{shown(name, value)}: {_WRITE[taken.takes]}{also}"
    if taken.choices and str(value) not in taken.choices:
        return f"{shown(name, value)}: write one of {', '.join(taken.choices)}"
    return None


def _fits(value: Any, taken: Taken) -> bool:
    if taken.takes in ("switch", "mark"):
        return isinstance(value, bool) and (value or taken.takes == "switch")
    if isinstance(value, bool) or value is None or (isinstance(value, float) and not math.isfinite(value)):
        return False
    if isinstance(value, dict | list):
        # An adapter of `lora-modules` may be a mapping.
        return taken.takes == "json" or (isinstance(value, dict) and bool(taken.several))
    if taken.takes == "integer":
        return re.fullmatch(r"-?\d+", str(value), re.ASCII) is not None
    if taken.takes == "number":
        return re.fullmatch(r"-?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", str(value), re.ASCII | re.IGNORECASE) is not None
    if taken.takes == "size":
        return whole(value) is not None or str(value) in ("auto", "-1", "0")
    return True


def _word(value: Any) -> str:
    if isinstance(value, bool | dict | list):
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return str(value)


def adapters(args: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of the LoRA adapters that `lora-modules` loads: NAME=PATH, or JSON with a name; one or several."""
    given = args.get("lora-modules")
    found = []
    for module in given if isinstance(given, list) else [given]:
        name = module.get("name") if isinstance(module, dict) else None
        if isinstance(module, str) and module.lstrip().startswith("{"):
            name = _named(module)
        elif isinstance(module, str):
            name = module.partition("=")[0] if "=" in module else None
        if isinstance(name, str) and name and name not in found:
            found.append(name)
    return tuple(found)


def _named(module: str) -> Any:
    try:
        return json.loads(module).get("name")
    except json.JSONDecodeError:
        return None
