"""Who is talked to: what runs here, or an address; with which key, and which model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from common.faults import did_you_mean
from fullbatch.chat.cleaning import one_line
from fullbatch.chat.server import ChatServer, Key
from fullbatch.core.errors import StateError, UsageError
from fullbatch.runtime import dotenv, registry

KEY_VARIABLE = "FULLBATCH_API_KEY"


@dataclass(frozen=True)
class Wanted:
    """What was asked for; empty: nothing was. `command`: who asks, for messages."""

    profile: str = ""
    url: str = ""
    model: str = ""
    key_file: Path | None = None
    command: str = "chat"


@dataclass(frozen=True)
class Target:
    """`name`: the profile, or the address where there is none."""

    name: str
    server: ChatServer
    model: str


def find(root: Path, wanted: Wanted) -> Target:
    """StateError when nothing runs or does not answer, UsageError for a wrong key or model."""
    given = _given_key(root, wanted.key_file)
    if wanted.url:
        server, name = ChatServer(wanted.url, given or Key("", "no key")), wanted.url
    else:
        one = registry.only(root, wanted.profile or None, f"fullbatch {wanted.command} PROFILE")
        if one is None:
            what = f"profile '{wanted.profile}' is not running" if wanted.profile else "nothing is running"
            elsewhere = ", or say --url" if wanted.command == "chat" else ""
            raise StateError(f"{what}; start it with fullbatch up {wanted.profile or 'PROFILE'}{elsewhere}")
        name, own = one.profile, one.api_key()
        found = Key(own, f"the first key of profile '{name}'" if own else "no key that this user can read")
        server = ChatServer(one.gateway_url, given or found)
    return Target(name, server, _model(server, wanted.model))


def _given_key(root: Path, file: Path | None) -> Key | None:
    if file is not None:
        try:
            words = file.read_text(encoding="utf-8").split()
        except UnicodeDecodeError as error:
            raise UsageError(f"--key-file {file}: not a text file; write the key into it") from error
        except OSError as error:
            raise UsageError(f"--key-file {file}: {error.strerror}") from error
        if not words:
            raise UsageError(f"--key-file {file}: no key in it; write one, as its first word")
        return _fit(Key(words[0], f"the key in {file}"), "--key-file")
    value = dotenv.value(root, KEY_VARIABLE).strip()
    return _fit(Key(value, f"the key in {KEY_VARIABLE}"), KEY_VARIABLE) if value else None


def _fit(key: Key, where: str) -> Key:
    """A header takes no other characters, and http.client's own words would show the key."""
    if not all("!" <= letter <= "~" for letter in key.value):
        raise UsageError(f"{where}: a key has no blanks and no letters beyond ASCII; write the key alone")
    return key


def _model(server: ChatServer, asked: str) -> str:
    """The one that was asked for, by its own or another name, or the first there is."""
    known = server.models()
    if not known:
        raise UsageError(f"{server.url} has no model that this key may use: {server.key.origin}")
    if asked and asked not in known and not server.knows(asked):
        near = did_you_mean(asked, known)
        raise UsageError(f"--model {asked}: no such model{near}; there are: {', '.join(map(one_line, known))}")
    return asked or known[0]
