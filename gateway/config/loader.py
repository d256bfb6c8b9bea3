"""gateway.yaml and the key file -> settings. Nothing else in the gateway reads them.

SettingsError   the file, a value in it, or the key file is not usable; one line for each fault
"""

from __future__ import annotations

import difflib
import re
from datetime import date
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from common import yaml_file
from common.text_file import FileFault, Unreadable
from gateway.config.settings import Settings

PLACEHOLDERS = frozenset({"changeme", "change-me", "your-api-key", "your-key", "secret", "password", "sk-xxx"})
MIN_KEY_CHARS = 12
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
MAX_KEY_FILE_BYTES = 1 << 20
MAX_LINES = 20
MAX_SHOWN = 80
MAX_MESSAGE = 400
# pydantic's words are Python's.
_IN_YAML = {
    "tuple_type": "should be a list",
    "model_type": "should be a mapping",
    "dict_type": "should be a mapping",
    "string_type": "should be a text; put it in quotes",
    "string_unicode": "should be a text without halves of characters",
}


class SettingsError(Exception):
    """``lines``: one message for each fault, each naming file, key path and what would be right."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


def load(path: Path) -> Settings:
    """Read gateway.yaml. A relative `api_keys_file` or `store` is taken from the folder that gateway.yaml is in.

    Raises:
        SettingsError: the file cannot be read, is not YAML, or a value in it is not allowed.
    """
    try:
        content = yaml_file.load(path)
    except Unreadable as fault:
        raise SettingsError([f"{path}: {fault}; give the file with --config FILE"]) from None
    except FileFault as fault:
        raise SettingsError([f"{path}: {fault}"]) from None
    if not isinstance(content, dict):
        raise SettingsError([f"{path}: holds no settings; it must start with keys like 'listen:' and 'engines:'"])
    try:
        settings = Settings.model_validate(_frozen(content))
    except ValidationError as error:
        faults = _roots(error)
        lines = [f"{path}: {_line(fault)}" for fault in faults[:MAX_LINES]]
        more = [f"{path}: and {len(faults) - MAX_LINES} faults more"] if len(faults) > MAX_LINES else []
        raise SettingsError(lines + more) from None
    store = None if settings.store is None else path.parent / settings.store
    return settings.model_copy(update={"api_keys_file": path.parent / settings.api_keys_file, "store": store})


def read_api_keys(path: Path) -> tuple[bytes, ...]:
    """The keys of a key file: one a line, with a name after it if it has one; '#' starts a comment line.

    Raises:
        SettingsError: no file, no key in it, a key that is a placeholder or too short to be a secret, or a name that is
            none, or there twice.
    """
    try:
        with path.open("rb") as file:
            lines = file.read(MAX_KEY_FILE_BYTES).decode().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        remedy = f"make one with: python -m gateway.keyfile {path.parent}"
        raise SettingsError([f"{path}: the API key file cannot be read ({_why(error)}); {remedy}"]) from None
    keys: list[bytes] = []
    names: set[str] = set()
    for number, line in enumerate(lines, 1):
        key, _, name = " ".join(line.split()).partition(" ")
        if not key or key.startswith("#"):
            continue
        if key.lower() in PLACEHOLDERS or len(key) < MIN_KEY_CHARS or not key.isascii() or not key.isprintable():
            expected = f"a key is at least {MIN_KEY_CHARS} ASCII characters without spaces, and no placeholder"
            raise SettingsError([f"{path}: line {number}: this key is not usable; {expected}"])
        if name and (not NAME.fullmatch(name) or name in names or name == "other"):
            # Not the word itself: with two keys on a line it is a key.
            expected = "write KEY NAME; a name is letters, digits, '.', '_' and '-', not 'other', and no other key's"
            raise SettingsError([f"{path}: line {number}: what stands after the key cannot be its name; {expected}"])
        names.add(name)
        keys.append(f"{key} {name}".strip().encode("ascii"))
    if not keys:
        raise SettingsError([f"{path}: holds no API key; write one a line, or delete it and run the keyfile command"])
    return tuple(keys)


def _why(error: Exception) -> str:
    return (error.strerror or str(error)).lower() if isinstance(error, OSError) else "not UTF-8 text"


def _frozen(value: Any) -> Any:
    """Lists as the tuples that settings have; everything else as it is."""
    if isinstance(value, list):
        return tuple(_frozen(one) for one in value)
    return {key: _frozen(one) for key, one in value.items()} if isinstance(value, dict) else value


def _roots(error: ValidationError) -> list[Any]:
    """The faults without those that only say that something inside has a fault."""
    faults = error.errors(include_url=False)
    outer = {fault["loc"][:depth] for fault in faults for depth in range(len(fault["loc"]))}
    return [fault for fault in faults if fault["loc"] not in outer]


def _line(fault: Any) -> str:
    where = _key_path(fault["loc"])
    prefix = f"{where}: " if where else ""
    if fault["type"] == "extra_forbidden":
        return f"{prefix}no such setting{_did_you_mean(fault['loc'])}"
    if fault["type"] == "missing":
        return f"{prefix}is missing; see docs/gateway-behaviour.md for what it means"
    message = _IN_YAML.get(fault["type"]) or fault["msg"].removeprefix("Value error, ").removeprefix("Input ")
    if fault["type"] == "value_error":
        return f"{prefix}{_printable(message)}"
    return f"{prefix}{_shown(fault)} {message}"


def _printable(message: str) -> str:
    """A message that may quote what was written: what cannot be printed as its escape, and not without end."""
    message = _without_password(message)
    plain = "".join(char if char.isprintable() else repr(char)[1:-1] for char in message[:MAX_MESSAGE])
    return plain if len(message) <= MAX_MESSAGE else f"{plain}…"


def _without_password(text: str) -> str:
    """What stands between a scheme and the last '@' may be a user and a password."""
    return re.sub(r"//.*@", "//", text)


def _shown(fault: Any) -> str:
    """The value, where it says something and cannot be a secret."""
    value = fault["input"]
    if isinstance(value, (dict, list, tuple)):
        return "a mapping" if isinstance(value, dict) else "a list"
    if isinstance(value, str) and fault["type"] in ("tuple_type", "model_type", "dict_type"):
        return "a text"
    if fault["loc"] == ("api_keys_file",):  # a person may have written the key itself here
        return "this"
    text = _without_password(str(value) if isinstance(value, date) else repr(value))
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"


def _key_path(loc: tuple[str | int, ...]) -> str:
    text = ""
    for part in loc:
        name = str(part)
        shown = name if name.isprintable() and len(name) <= MAX_SHOWN else f"{name[:MAX_SHOWN]!r}…"
        text += f"[{part}]" if isinstance(part, int) else f".{shown}" if text else shown
    return text


def _did_you_mean(loc: tuple[str | int, ...]) -> str:
    section: type[BaseModel] = Settings
    for part in loc[:-1]:
        field = section.model_fields.get(str(part))
        section = (_model_in(field.annotation) if field else None) or section
    names = list(section.model_fields)
    close = difflib.get_close_matches(str(loc[-1]), names, n=1)
    return f" (did you mean {close[0]}?)" if close else f"; there are {', '.join(names)}"


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The section that a setting holds, one or many or none of them."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_model_in, get_args(annotation))), None)
