"""gateway.yaml and the key file -> settings. Nothing else in the gateway reads them.

SettingsError   the file, a value in it, or the key file is not usable; one line for each fault
"""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from gateway.settings import EngineSettings, Settings

PLACEHOLDERS = frozenset({"changeme", "change-me", "your-api-key", "your-key", "secret", "password", "sk-xxx"})
MIN_KEY_CHARS = 12
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


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
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError([f"{path}: cannot be read ({_why(error)}); give the file with --config FILE"]) from None
    except yaml.YAMLError as error:
        raise SettingsError([f"{path}: not valid YAML: {' '.join(str(error).split())}"]) from None
    if not isinstance(content, dict):
        raise SettingsError([f"{path}: holds no settings; it must start with keys like 'listen:' and 'engines:'"])
    try:
        settings = Settings.model_validate(content)
    except ValidationError as error:
        raise SettingsError([f"{path}: {_line(fault)}" for fault in _roots(error)]) from None
    store = None if settings.store is None else path.parent / settings.store
    return settings.model_copy(update={"api_keys_file": path.parent / settings.api_keys_file, "store": store})


def read_api_keys(path: Path) -> tuple[bytes, ...]:
    """The keys of a key file: one a line, with a name after it if it has one; '#' starts a comment line.

    Raises:
        SettingsError: no file, no key in it, a key that is a placeholder or too short to be a secret, or a name that is
            none, or there twice.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        remedy = f"make one with: python -m gateway.keyfile {path.parent}"
        raise SettingsError([f"{path}: the API key file cannot be read ({_why(error)}); {remedy}"]) from None
    keys: list[bytes] = []
    names: set[str] = set()
    for number, line in enumerate(lines, 1):
        key, _, name = " ".join(line.split()).partition(" ")
        if not key or key.startswith("#"):
            continue
        if key.lower() in PLACEHOLDERS or len(key) < MIN_KEY_CHARS or not key.isascii():
            expected = f"a key is at least {MIN_KEY_CHARS} ASCII characters without spaces, and no placeholder"
            raise SettingsError([f"{path}: line {number}: this key is not usable; {expected}"])
        if name and (not NAME.fullmatch(name) or name in names or name == "other"):
            expected = "a name is letters, digits, '.', '_' and '-', and no other key's"
            raise SettingsError([f"{path}: line {number}: '{name}' cannot be the key's name; {expected}"])
        names.add(name)
        keys.append(f"{key} {name}".strip().encode("ascii"))
    if not keys:
        raise SettingsError([f"{path}: holds no API key; write one a line, or delete it and run the keyfile command"])
    return tuple(keys)


def _why(error: Exception) -> str:
    return (error.strerror or str(error)).lower() if isinstance(error, OSError) else "not UTF-8 text"


def _roots(error: ValidationError) -> list[Any]:
    """The faults without those that only say that something inside has a fault."""
    faults = error.errors()
    places = [fault["loc"] for fault in faults]
    return [f for f in faults if not any(len(p) > len(f["loc"]) and p[: len(f["loc"])] == f["loc"] for p in places)]


def _line(fault: Any) -> str:
    where = _key_path(fault["loc"])
    prefix = f"{where}: " if where else ""
    if fault["type"] == "extra_forbidden":
        return f"{prefix}no such setting{_did_you_mean(fault['loc'])}"
    if fault["type"] == "missing":
        return f"{prefix}is missing; see docs/gateway-behaviour.md for what it means"
    message = fault["msg"].removeprefix("Value error, ").removeprefix("Input ")
    if fault["type"] == "value_error":
        return f"{prefix}{message}"
    return f"{prefix}{fault['input']!r} {message}"


def _key_path(loc: tuple[str | int, ...]) -> str:
    text = ""
    for part in loc:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _did_you_mean(loc: tuple[str | int, ...]) -> str:
    sections: dict[str, Any] = {name: field.annotation for name, field in Settings.model_fields.items()}
    section = sections[str(loc[0])] if len(loc) > 1 else Settings
    model = EngineSettings if loc[0] == "engines" and len(loc) > 1 else section
    names = list(model.model_fields)
    close = difflib.get_close_matches(str(loc[-1]), names, n=1)
    return f" (did you mean {close[0]}?)" if close else f"; there are {', '.join(names)}"
