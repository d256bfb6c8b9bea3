"""Images for tests of upgrades: the gateway's own with a mark or a fault in it, and stand-ins for an engine."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from fullbatch.runtime.compose import config
from tests.e2e.docker_stack import ROOT, run
from tests.fakes import later_vllm

GATEWAY = "fullbatch/gateway:local"
# Healthy to whoever asks for no token; before that it has changed the key store's tables, as a later version may.
_GARBAGE = """\
import http.server, sqlite3
store = sqlite3.connect("/var/lib/fullbatch/store")
store.execute("CREATE TABLE IF NOT EXISTS later (x)")
store.execute("PRAGMA user_version = 99")
store.commit()
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = b"garbage"
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def do_POST(self):
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.do_GET()
http.server.ThreadingHTTPServer(("0.0.0.0", 8080), Handler).serve_forever()
"""
_ENGINE = """\
COPY tests /opt/fullbatch/tests
RUN sed -i 's/kv_tokens: int = .*/kv_tokens: int = {kv}/' tests/fakes/engine/knobs.py
USER 2000:0"""

_GONE = "--load-format"

GATEWAYS = {
    "good": "LABEL version=2",
    "exits": "RUN echo 'raise SystemExit(\"settings of another time\")' > gateway/__main__.py",
    "garbage": "COPY garbage.py gateway/__main__.py",
}
# As many KV tokens as profile cpu-tiny plans; half of them.
ENGINES = {"one": _ENGINE.format(kv=524_288), "half": _ENGINE.format(kv=262_144)}
# Another that would serve, and whose parser does not know one flag.
ENGINES["dropped"] = ENGINES["one"].replace(
    "USER 2000:0", "COPY vllm /opt/fullbatch/vllm\nENV PYTHONPATH=/opt/fullbatch\nUSER 2000:0"
)


def build(environment: Mapping[str, str], folder: Path) -> None:
    """All of them, from the gateway's image; seconds, since nothing is installed."""
    (folder / "garbage.py").write_text(_GARBAGE)
    words = config.engine_commands(ROOT, "cpu-tiny")["engine"]
    later_vllm.write(folder, words, [_GONE])
    for name in ("__init__.py", "fakes", "ports.py"):
        source, target = ROOT / "tests" / name, folder / "tests" / name
        target.parent.mkdir(exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    wanted = {f"fullbatch/gateway:{tag}": text for tag, text in GATEWAYS.items()}
    wanted |= {f"fullbatch-e2e/engine:{tag}": text for tag, text in ENGINES.items()}
    for name, text in wanted.items():
        (folder / "Dockerfile").write_text(f"FROM {GATEWAY}\nUSER 0\n{text}\n")
        run("docker", "build", "--quiet", "--tag", name, str(folder), env=environment)


def remove(environment: Mapping[str, str]) -> None:
    """What `build` has made, and what upgrades have kept."""
    listed = run("docker", "image", "ls", "--format", "{{.Repository}}:{{.Tag}}", env=environment).split()
    ours = [f"fullbatch/gateway:{tag}" for tag in GATEWAYS] + [f"fullbatch-e2e/engine:{tag}" for tag in ENGINES]
    names = [one for one in listed if one in ours or one.startswith("fullbatch-kept/")]
    subprocess.run(["docker", "image", "rm", *names], env=environment, capture_output=True, check=False)
