"""STORE.postgres: where the PostgreSQL is that has the keys and usage of several gateways. It holds a password.

It lies beside the local store, as the peers' file does, so no setting names it. `fullbatch store` writes it.

PostgresRefused   the address, or what is there, will not do; one line without the password
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, quote, unquote, urlsplit

import yaml

from common import yaml_file
from common.text_file import FileFault
from gateway.keys.stored import StoreError

SUFFIX = ".postgres"
EXAMPLE = "postgresql://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=verify-full&sslrootcert=FILE"
DEFAULT_PORT = 5432
# What may stand behind the '?', in libpq's words.
OPTIONS = frozenset({"sslmode", "sslrootcert", "sslcert", "sslkey", "target_session_attrs", "host"})
MODES = frozenset({"disable", "allow", "prefer", "require", "verify-ca", "verify-full"})
CHECKED = frozenset({"verify-ca", "verify-full"})
_HEAD = "# Written by `fullbatch store`. It holds a password: for its owner only.\n"


class PostgresRefused(StoreError):
    """Trying again would not help."""


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """``id``: of the store that is to be there; empty is any. ``where``: HOST:PORT/DATABASE, to be shown.

    ``words``: what libpq is to connect with, as pairs; what we have checked, and not what else it may read in the URL.
    """

    url: str = field(repr=False)
    where: str
    words: tuple[tuple[str, str], ...] = field(repr=False)
    id: str = ""


def beside(store: Path) -> Path:
    """Where the file of a local store is."""
    return store.with_name(f"{store.name}{SUFFIX}")


def leaving(path: Path) -> Path:
    """What the file is called while keys and usage come back from there."""
    return path.with_name(f"{path.name}.leaving")


def read(path: Path) -> PostgresServer | None:
    """What the file says; None where there is none.

    Raises:
        PostgresRefused: it cannot be read, or is not what `write` writes.
    """
    if not path.exists():
        return None
    try:
        content = yaml_file.load(path)
    except FileFault as fault:
        raise PostgresRefused(f"{path}: {fault}") from None
    if not isinstance(content, dict) or not isinstance(content.get("url"), str) or set(content) - {"url", "id"}:
        raise PostgresRefused(f"{path}: must be 'url: {EXAMPLE}', and 'id:' of the store there")
    try:
        return checked(content["url"], str(content.get("id") or ""))
    except PostgresRefused as error:
        raise PostgresRefused(f"{path}: url: {error}") from None


def write(path: Path, server: PostgresServer) -> None:
    """Replace the file, whole or not at all; readable by its owner only.

    Raises:
        StoreError: it cannot be written.
    """
    part = path.with_name(f"{path.name}.part")
    try:
        with contextlib.suppress(FileNotFoundError):
            part.unlink()
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(_HEAD + yaml.safe_dump({"url": server.url, "id": server.id}, sort_keys=False))
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        raise StoreError(f"{path}: cannot be written ({(error.strerror or str(error)).lower()})") from None


def with_ca(url: str, ca: str, path: Path) -> str:
    """The address with this certificate, which is put beside the local store for libpq to find.

    Raises:
        StoreError: it cannot be written.
    """
    file = _ca_file(path)
    try:
        file.write_text(ca, encoding="utf-8")
    except OSError as error:
        raise StoreError(f"{file}: cannot be written ({(error.strerror or str(error)).lower()})") from None
    return named_ca(url, path)


def named_ca(url: str, path: Path) -> str:
    """The address with the certificate that `with_ca` puts there."""
    mode = "" if "sslmode=" in url else "sslmode=verify-full&"
    return f"{url}{'&' if '?' in url else '?'}{mode}sslrootcert={quote(str(_ca_file(path)))}"


def without_ca(path: Path) -> None:
    """Take the certificate away again, where no address is there that needs it, nor one that is being left."""
    if not path.exists() and not leaving(path).exists():
        with contextlib.suppress(OSError):
            _ca_file(path).unlink()


def _ca_file(path: Path) -> Path:
    return path.with_name(f"{path.name}-ca.pem")


def checked(url: str, store_id: str = "") -> PostgresServer:
    """The address, if it is one; its words are never repeated, as a password may be among them.

    Raises:
        PostgresRefused: it is none, or leads to another machine without TLS that is checked.
    """
    try:
        parts = urlsplit(url.strip())
        options = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
        host, port = parts.hostname or options.get("host", ""), parts.port or DEFAULT_PORT
    except ValueError:
        raise PostgresRefused(f"is no address of a PostgreSQL; write {EXAMPLE}") from None
    database = unquote(parts.path.removeprefix("/"))
    if parts.scheme not in ("postgresql", "postgres") or not host or not database or "," in host or parts.fragment:
        raise PostgresRefused(f"is no address of a PostgreSQL; write {EXAMPLE}")
    if strange := sorted(set(options) - OPTIONS):
        raise PostgresRefused(f"the option '{strange[0][:40]}' is not known; there are {', '.join(sorted(OPTIONS))}")
    if options.get("sslmode", "prefer") not in MODES or re.search("%(?![0-9A-Fa-f]{2})", url):
        raise PostgresRefused(f"is no address of a PostgreSQL; write {EXAMPLE}")
    host = unquote(host)
    if not _is_here(host) and options.get("sslmode") not in CHECKED:
        raise PostgresRefused(
            f"{host} is another machine: add sslmode=verify-full&sslrootcert=FILE, so that nobody in between can be it"
        )
    words = {"host": host, "port": str(port), "dbname": database} | {k: v for k, v in options.items() if k != "host"}
    words |= {name: unquote(one) for name, one in (("user", parts.username), ("password", parts.password)) if one}
    return PostgresServer(url.strip(), f"{host}:{port}/{database}", tuple(words.items()), store_id)


def _is_here(host: str) -> bool:
    if host == "localhost" or host.startswith("/"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
