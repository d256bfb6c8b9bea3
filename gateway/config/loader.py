"""Reads gateway.yaml and the key file into settings. Nothing else in the gateway reads them.

SettingsError   the file, a value in it, or the key file is not usable; one line for each fault
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from common import faults, text_file, yaml_file
from common.api_key import TRUSTED
from common.text_file import FileFault, Unreadable
from gateway.config import peers_file
from gateway.config.engine_settings import EngineSettings, checked_ca, checked_key
from gateway.config.settings import Settings, ShareSettings

PLACEHOLDERS = frozenset({"changeme", "change-me", "your-api-key", "your-key", "secret", "password", "sk-xxx"})
MIN_KEY_CHARS = 12
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
MAX_KEY_FILE_BYTES = 1 << 20
MAX_LINES = 20


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
        settings = Settings.model_validate(frozen(content))
    except ValidationError as error:
        found = faults.find(error, Settings, secret=("api_keys_file",))
        lines = [f"{path}: {fault}" for fault in found[:MAX_LINES]]
        more = [f"{path}: and {len(found) - MAX_LINES} faults more"] if len(found) > MAX_LINES else []
        raise SettingsError(lines + more) from None
    store = None if settings.store is None else path.parent / settings.store
    engines = tuple(_with_files(path, index, engine) for index, engine in enumerate(settings.engines))
    engines += _peers(store, {engine.name for engine in engines})
    files = {"api_keys_file": path.parent / settings.api_keys_file, "store": store, "share": _share(path, settings)}
    files["reports"] = None if settings.reports is None else path.parent / settings.reports
    return settings.model_copy(update=files | {"engines": engines})


def _share(path: Path, settings: Settings) -> ShareSettings | None:
    share = settings.share
    if share is None or share.password_file is None:
        return share
    return share.model_copy(update={"password_file": path.parent / share.password_file})


def _with_files(path: Path, index: int, engine: EngineSettings) -> EngineSettings:
    """What its files hold, beside their names."""
    if engine.kind == "engine":
        return engine
    found = {}
    for name, file in (("key", engine.key_file), ("ca", engine.ca_file)):
        if file is None:
            continue
        where = f"{path}: engines[{index}].{name}_file: {path.parent / file}"
        try:
            text = text_file.read_text(path.parent / file).strip()
        except FileFault as fault:
            raise SettingsError([f"{where}: {fault}"]) from None
        try:
            found[name] = checked_key(text) if name == "key" else checked_ca(text)
        except ValueError as fault:
            raise SettingsError([f"{where}: {fault}"]) from None
    return engine.model_copy(update=found)


def _peers(store: Path | None, taken: set[str]) -> tuple[EngineSettings, ...]:
    """Those that `fullbatch peers` has added."""
    if store is None:
        return ()
    path, found = peers_file.beside(store), []
    try:
        entries = peers_file.read(path)
    except peers_file.PeersFault as fault:
        raise SettingsError([str(fault)]) from None
    for index, entry in enumerate(entries):
        try:
            found.append(EngineSettings.model_validate(frozen(entry)))
        except ValidationError as error:
            faults_of_it = faults.find(error, EngineSettings, secret=("key",))
            raise SettingsError([f"{path}: engines[{index}].{fault}" for fault in faults_of_it]) from None
        if found[-1].name in taken:
            raise SettingsError([f"{path}: engines[{index}]: an engine is called '{found[-1].name}' too; rename one"])
    return tuple(found)


def read_api_keys(path: Path) -> tuple[bytes, ...]:
    """The keys of a key file: one a line, with a name after it if it has one, and `TRUSTED`; '#' starts a comment line.

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
        key, _, rest = " ".join(line.split()).partition(" ")
        name, _, mark = rest.partition(" ")
        if not key or key.startswith("#"):
            continue
        if key.lower() in PLACEHOLDERS or len(key) < MIN_KEY_CHARS or not key.isascii() or not key.isprintable():
            expected = f"a key is at least {MIN_KEY_CHARS} ASCII characters without spaces, and no placeholder"
            raise SettingsError([f"{path}: line {number}: this key is not usable; {expected}"])
        if mark not in ("", TRUSTED) or (name and (not NAME.fullmatch(name) or name in names or name == "other")):
            # Not the word itself: with two keys on a line it is a key.
            expected = (
                "write KEY NAME, and perhaps 'trusted'; a name is letters, digits, '.', '_' and '-', no other key's"
            )
            raise SettingsError([f"{path}: line {number}: what stands after the key cannot be its name; {expected}"])
        names.add(name)
        keys.append(f"{key} {rest}".strip().encode("ascii"))
    if not keys:
        raise SettingsError([f"{path}: holds no API key; write one a line, or delete it and run the keyfile command"])
    return tuple(keys)


def _why(error: Exception) -> str:
    return (error.strerror or str(error)).lower() if isinstance(error, OSError) else "not UTF-8 text"


def frozen(value: Any) -> Any:
    """Lists as the tuples that settings have; everything else as it is."""
    if isinstance(value, list):
        return tuple(frozen(one) for one in value)
    return {key: frozen(one) for key, one in value.items()} if isinstance(value, dict) else value
