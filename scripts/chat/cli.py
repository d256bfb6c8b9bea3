"""``scripts/open-webui``: starts Open WebUI beside the one deployment that runs, with the settings of compose.yaml."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from common import yaml_file
from common.api_key import new_secret

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = Path(".fullbatch/clients/open-webui/bin/open-webui")
HOME = Path(".fullbatch/open-webui")
KEY_NAME = "open-webui"
PORT = 3001


class ChatError(Exception):
    """The message is one line for the person who asked."""


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="scripts/open-webui",
        description="Start Open WebUI beside the one deployment that runs here, at loopback, as `docker compose "
        f"--profile chat` does in a container. Accounts and chats are in {HOME}. `scripts/test-clients chat` installs "
        "it.",
    )
    parser.add_argument("--port", type=int, default=PORT, help=f"(default: {PORT})")
    options = parser.parse_args(argv)
    try:
        program = ROOT / PROGRAM
        if not program.exists():
            raise ChatError(f"{PROGRAM} is not there; run: scripts/test-clients chat")
        home = ROOT / HOME
        url, profile = deployment()
        home.mkdir(parents=True, exist_ok=True)
        more = environment(
            ROOT, f"{url}/v1", kept_key(home, profile), kept(home / "session_secret"), home, options.port
        )
    except ChatError as error:
        sys.stderr.write(f"open-webui: {error}\n")
        return 2
    sys.stdout.write(f"open-webui: http://127.0.0.1:{options.port}, in a minute; Ctrl-C ends it\n")
    sys.stdout.flush()
    words = [str(program), "serve", "--host", "127.0.0.1", "--port", str(options.port)]
    os.execve(program, words, {**os.environ, **more})


def environment(root: Path, api: str, key: str, secret: str, home: Path, port: int) -> dict[str, str]:
    """The variables of the service `chat` of compose.yaml, with the places and addresses of a process."""
    content = yaml_file.load(root / "compose.yaml")
    settings: Mapping[str, object] = content["services"]["chat"]["environment"]
    own = {
        "OPENAI_API_BASE_URL": api,
        "OPENAI_API_KEY": key,
        "WEBUI_SECRET_KEY": secret,
        "CORS_ALLOW_ORIGIN": f"http://127.0.0.1:{port};http://localhost:{port}",
        "DATA_DIR": str(home / "data"),
        "STATIC_DIR": str(home / "static"),
    }
    of_https = {"WEBUI_URL", "WEBUI_SESSION_COOKIE_SECURE", "WEBUI_AUTH_COOKIE_SECURE"}
    outside = {"HOME", "NO_PROXY", "no_proxy"} | of_https
    return {name: str(value) for name, value in settings.items() if name not in outside} | own


def deployment() -> tuple[str, str]:
    """The address of the gateway of the one deployment that runs, and its profile.

    Raises:
        ChatError: there is none, or more than one.
    """
    said = _fullbatch("status", "--json")
    found = json.loads(said.stdout) if said.returncode == 0 else []
    if len(found) != 1:
        raise ChatError(f"{len(found)} deployments run here, and one is needed; start it with: fullbatch up PROFILE")
    return str(found[0]["gateway_url"]), str(found[0]["profile"])


def kept_key(home: Path, profile: str) -> str:
    """The chat's key at this deployment: made once, trusted, and readable by the owner only.

    Raises:
        ChatError: it cannot be made.
    """
    file = home / f"key-{profile}"
    if file.exists():
        return file.read_text(encoding="utf-8").strip()
    made = _fullbatch("keys", "--profile", profile, "create", KEY_NAME, "--trusted", "yes", "--json")
    if made.returncode != 0:
        raise ChatError(made.stderr.strip().splitlines()[-1] if made.stderr.strip() else "no key could be made")
    return kept(file, json.loads(made.stdout)["key"])


def kept(file: Path, value: str = "") -> str:
    """What the file holds; a new secret, or ``value``, where there is none."""
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return file.read_text(encoding="utf-8").strip()
    with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
        opened.write((value or new_secret()) + "\n")
    return file.read_text(encoding="utf-8").strip()


def _fullbatch(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "fullbatch", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


if __name__ == "__main__":
    sys.exit(main())
