"""Reads launcher.json into frozen objects. Nothing else reads it.

ConfigError     the file or a value in it is not usable; one line for each fault
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LONGEST_SOCKET_PATH = 107
# A model's name is a segment of a URL's path; a hub's name has a slash, which the plan replaces.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_LONGEST_S = 86_400.0


class ConfigError(Exception):
    """``lines``: one message for each fault, each naming the place and what would be right."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


@dataclass(frozen=True)
class EngineAddress:
    """Where an engine answers: ``uds``, a socket's path, or ``host`` and ``port``."""

    host: str = ""
    port: int = 0
    uds: str = ""


@dataclass(frozen=True)
class CommandedModel:
    """``sleep``: it may be put to sleep; else it is stopped and started. Times in seconds."""

    name: str
    command: tuple[str, ...]
    listen: EngineAddress
    env: tuple[tuple[str, str], ...] = ()
    sleep: bool = False
    start_timeout_s: float = 900.0
    stop_timeout_s: float = 30.0


@dataclass(frozen=True)
class Memory:
    """``command`` prints MiB in use on the card, a number a line; a sleeper keeps at most ``asleep_mib`` of it."""

    command: tuple[str, ...]
    asleep_mib: float


@dataclass(frozen=True)
class LauncherSettings:
    card: str
    socket: Path
    folder: Path
    models: tuple[CommandedModel, ...]
    memory: Memory | None = None


def load(path: Path) -> LauncherSettings:
    """Read the file.

    Raises:
        ConfigError
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError([f"{path}: cannot be read ({(error.strerror or str(error)).lower()})"]) from None
    except ValueError as error:
        raise ConfigError([f"{path}: is not JSON ({error}); write an object with card, socket and models"]) from None
    reader = _Reader()
    settings = _settings(reader, content)
    if reader.faults or settings is None:
        raise ConfigError([f"{path}: {fault}" for fault in reader.faults])
    return settings


class _Reader:
    """Takes values out of objects and notes what is wrong with them."""

    def __init__(self) -> None:
        self.faults: list[str] = []

    def object(self, value: Any, where: str, known: tuple[str, ...]) -> dict[str, Any]:
        if not isinstance(value, dict) or not value:
            self.faults.append(f"{where or 'the file'} is not an object that says anything; write {', '.join(known)}")
            return {}
        prefix = f"{where}." if where else ""
        self.faults += [
            f"{prefix}{key} is not known; there are {', '.join(known)}" for key in value if key not in known
        ]
        return value

    def text(self, values: dict[str, Any], key: str, where: str) -> str:
        found = values.get(key)
        if isinstance(found, str) and found and found.isprintable():
            return found
        self.faults.append(f"{where}{key} is {_told(found)}; write a text")
        return ""

    def path(self, values: dict[str, Any], key: str, where: str) -> str:
        found = self.text(values, key, where)
        usable = found.startswith("/") and not found.endswith("/") and len(found.encode()) <= LONGEST_SOCKET_PATH
        if found and not usable:
            self.faults.append(
                f"{where}{key} is '{found[:200]}'; write an absolute path of at most {LONGEST_SOCKET_PATH} bytes"
            )
        return found

    def words(self, values: dict[str, Any], key: str, where: str) -> tuple[str, ...]:
        found = values.get(key)
        if isinstance(found, list) and found and all(isinstance(one, str) and "\0" not in one for one in found):
            return tuple(found)
        self.faults.append(f"{where}{key} is {_told(found)}; write a list of words, the program first")
        return ()

    def number(self, values: dict[str, Any], key: str, where: str, default: float, most: float = _LONGEST_S) -> float:
        found = values.get(key, default)
        if isinstance(found, (int, float)) and not isinstance(found, bool) and 0 < found <= most:
            return float(found)
        self.faults.append(f"{where}{key} is {_told(found)}; write a number over 0, at most {most:g}")
        return default


def _settings(reader: _Reader, content: Any) -> LauncherSettings | None:
    values = reader.object(content, "", ("card", "socket", "folder", "models", "memory"))
    if not values:
        return None
    card = reader.text(values, "card", "")
    if card and not _NAME.fullmatch(card):
        reader.faults.append(f"card is '{card[:100]}'; write letters, digits, '.', '_' and '-'")
    socket = Path(reader.path(values, "socket", "") or "/none")
    folder = socket.with_suffix(".d") if socket.name else socket
    if "folder" in values:
        folder = Path(reader.text(values, "folder", "") or "/none")
        if not folder.is_absolute():
            reader.faults.append(f"folder is '{folder}'; write an absolute path")
    listed = values.get("models")
    if not isinstance(listed, list) or not listed:
        reader.faults.append(f"models is {_told(listed)}; write a list of at least one model")
        listed = []
    models = tuple(_model(reader, one, f"models[{at}]") for at, one in enumerate(listed))
    _once(reader, models)
    memory = _memory(reader, values["memory"]) if values.get("memory") is not None else None
    return LauncherSettings(card, socket, folder, models, memory)


def _model(reader: _Reader, content: Any, where: str) -> CommandedModel:
    known = ("name", "command", "env", "listen", "sleep", "start_timeout_s", "stop_timeout_s")
    values = reader.object(content, where, known)
    if not values:
        return CommandedModel("", (), EngineAddress())
    where += "."
    name = reader.text(values, "name", where)
    if name and not _NAME.fullmatch(name):
        reader.faults.append(f"{where}name is '{name[:100]}'; write letters, digits, '.', '_' and '-'")
    sleep = values.get("sleep", False)
    if not isinstance(sleep, bool):
        reader.faults.append(f"{where}sleep is {_told(sleep)}; write true or false")
    return CommandedModel(
        name,
        reader.words(values, "command", where),
        _listen(reader, values.get("listen"), where + "listen"),
        _env(reader, values.get("env", {}), where + "env"),
        sleep is True,
        reader.number(values, "start_timeout_s", where, CommandedModel.start_timeout_s),
        reader.number(values, "stop_timeout_s", where, CommandedModel.stop_timeout_s),
    )


def _env(reader: _Reader, value: Any, where: str) -> tuple[tuple[str, str], ...]:
    if not isinstance(value, dict):
        reader.faults.append(f"{where} is {_told(value)}; write an object of texts")
        return ()
    for key, text in value.items():
        if not key or "=" in key or not isinstance(text, str) or "\0" in key + text:
            # Not the value: it may be a secret.
            reader.faults.append(f'{where}: \'{key[:100]}\' is no variable with a text; write "NAME": "text"')
            return ()
    return tuple(value.items())


def _listen(reader: _Reader, value: Any, where: str) -> EngineAddress:
    values = reader.object(value, where, ("host", "port", "uds"))
    if not values:
        return EngineAddress()
    if "uds" in values:
        if len(values) > 1:
            reader.faults.append(f"{where} has uds and more; write either uds, or host and port")
        return EngineAddress(uds=reader.path(values, "uds", where + "."))
    port = reader.number(values, "port", where + ".", 1.0, 65_535)
    return EngineAddress(reader.text(values, "host", where + "."), int(port))


def _memory(reader: _Reader, value: Any) -> Memory:
    values = reader.object(value, "memory", ("command", "asleep_mib"))
    command = reader.words(values, "command", "memory.")
    return Memory(command, reader.number(values, "asleep_mib", "memory.", 0.0, float(1 << 30)))


def _once(reader: _Reader, models: tuple[CommandedModel, ...]) -> None:
    names = [model.name for model in models if model.name]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        reader.faults.append(f"models: two are called '{twice}'; give each its own name")
    places = [model.listen for model in models if model.listen != EngineAddress()]
    shared = next((place for place in places if places.count(place) > 1), None)
    if shared is not None:
        told = shared.uds or f"{shared.host}:{shared.port}"
        reader.faults.append(f"models: two listen at {told}; give each its own port or socket")


def _told(value: Any) -> str:
    return "missing" if value is None else json.dumps(value)[:100]
