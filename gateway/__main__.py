"""``python -m gateway --config FILE``. Exit codes: 0 stopped as asked, 2 bad settings, 4 the address is taken."""

from __future__ import annotations

import argparse
import errno
import logging
import sys
from pathlib import Path

import uvloop

from common import streams
from gateway.api.metrics_port import CannotListen
from gateway.app import Inputs
from gateway.config.listen import Listen
from gateway.config.loader import SettingsError, load, read_api_keys
from gateway.config.settings import Settings
from gateway.keys import server_file
from gateway.keys.opening import opened
from gateway.keys.server_file import PostgresRefused
from gateway.keys.store import KeyStore
from gateway.keys.stored import StoreError
from gateway.running import serve
from gateway.share.sharing import Sums

BAD_SETTINGS, ADDRESS_TAKEN = 2, 4


def main() -> int:
    streams.open_missing()
    parser = argparse.ArgumentParser(prog="python -m gateway", description="An OpenAI-compatible gateway for vLLM.")
    parser.add_argument(
        "--config", type=Path, required=True, help="gateway.yaml; docs/gateway-behaviour.md lists its keys"
    )
    config: Path = parser.parse_args().config
    logging.basicConfig(stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    try:
        settings = load(config)
        keys = read_api_keys(settings.api_keys_file)
        share = None if settings.share is None else _opened(config, settings)
        store = None if settings.store is None else _store(settings.store)
        inputs = Inputs(config, settings, keys, store, share)
    except (SettingsError, StoreError) as error:
        _say(str(error))
        return BAD_SETTINGS
    try:
        uvloop.run(serve(inputs, _say))
    except SettingsError as error:
        _say(str(error))
        return BAD_SETTINGS
    except OSError as error:
        name, listen = "listen", settings.listen
        if isinstance(error, CannotListen) and settings.metrics_listen is not None:
            name, listen = "metrics_listen", settings.metrics_listen
        where = f"{config}: {name}: cannot listen on {_address(listen)}"
        taken = error.errno == errno.EADDRINUSE
        why = f"another program does; stop it or set another {name}.port" if taken else error.strerror or str(error)
        _say(f"{where}: {why}")
        return ADDRESS_TAKEN
    return 0


def _opened(config: Path, settings: Settings) -> Sums:
    """Where several gateways share."""
    try:
        from gateway.share import server
    except ImportError:
        raise SettingsError([f"{config}: share: needs the package 'valkey', which is not installed"]) from None
    assert settings.share is not None
    try:
        return server.opened(settings.share, settings.deployment)
    except server.ShareRefused as error:
        raise SettingsError([f"{config}: {error}"]) from None


def _store(path: Path) -> KeyStore:
    """The local store. A PostgreSQL that is not ours is refused here; one that does not answer may come later."""
    try:
        opened(path).close()
    except PostgresRefused:
        raise
    except StoreError as error:
        if server_file.read(server_file.beside(path)) is None:
            raise
        logging.getLogger("gateway").error("%s; the gateway starts with the keys that it knew last", error)
    return KeyStore(path)


def _address(listen: Listen) -> str:
    return getattr(listen, "socket", "") or f"{listen.host}:{listen.port}"


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
