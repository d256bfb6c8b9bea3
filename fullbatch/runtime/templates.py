"""A plan and the templates -> text. An undefined name is an error; every value goes through JSON."""

from __future__ import annotations

import dataclasses
import json
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fullbatch.core.errors import UsageError
from fullbatch.planning import plan_facts
from fullbatch.planning.plan import EnginePlan, Plan

if TYPE_CHECKING:  # as the Docker SDK: `fullbatch plan` answers faster without it
    import jinja2

# Inside the containers.
ENGINE_PORT = 8000
GATEWAY_PORT = 8080
# Tells of keys and addresses without asking for a key: for the stack's own Prometheus, and not published.
METRICS_PORT = 9091
# On a volume of its own: the only thing that the gateway writes.
STORE = "/var/lib/fullbatch/store"
# Docker kills at this many seconds after the engine's own drain has ended.
STOP_MARGIN_SECONDS = 10

FILES = ("compose.yaml", "gateway.yaml", "prometheus.yaml")
# The name compose.yaml gives the first of several machines, for those inside the Compose network.
FIRST_NODE = "node-0"


@dataclass(frozen=True)
class Addresses:
    """Where things listen and lie in one runtime: containers and plain processes differ in nothing else."""

    listen_host: str
    listen_port: int
    metrics_port: int | None
    api_keys_file: str
    store: str
    engine_host: str
    engine_port: int
    engine_urls: dict[str, str]
    tiny_model: str


def compose_addresses(plan: Plan) -> Addresses:
    """Inside the Compose network each engine is reached by its service name."""
    return Addresses(
        listen_host="0.0.0.0",
        listen_port=GATEWAY_PORT,
        metrics_port=METRICS_PORT,
        api_keys_file="/run/fullbatch/api_keys",
        store=STORE,
        engine_host="0.0.0.0",
        engine_port=ENGINE_PORT,
        engine_urls={
            engine.service: f"http://{engine.service if engine.nodes == 1 else FIRST_NODE}:{ENGINE_PORT}"
            for engine in plan.engines
        },
        tiny_model="/models/cpu-tiny",
    )


def text(root: Path, template: str, plan: Plan, addresses: Addresses, rank: int = 0) -> str:
    """`templates/<template>.j2` filled in for machine `rank`.

    UsageError naming template and line when it asks for what is not there.
    """
    import jinja2

    environment = _environment(root)
    context = {
        "plan": plan,
        "addresses": addresses,
        "limits": dataclasses.asdict(plan.limits),
        "rank": rank,
        "fetched": _fetched(plan.engines[0]),
        "facts": plan_facts.of(plan).as_text(),
        "commands": {engine.service: _command(engine, addresses) for engine in plan.engines},
        "stop_grace": f"{plan.drain_seconds + STOP_MARGIN_SECONDS}s",
    }
    name = f"{template}.j2"
    try:
        return environment.get_template(name).render(context)
    except jinja2.TemplateNotFound as error:
        raise UsageError(f"templates/{name}: no such template") from error
    except jinja2.TemplateSyntaxError as error:
        raise UsageError(f"templates/{error.name or name}: line {error.lineno}: {error.message}") from error
    except jinja2.UndefinedError as error:
        raise UsageError(f"templates/{name}: line {_template_line(error, name)}: {error.message}") from error


def files(root: Path, plan: Plan) -> dict[str, str]:
    """What `rendered/<profile>/` holds: file name -> text."""
    addresses = compose_addresses(plan)
    found = {name: text(root, name, plan, addresses) for name in FILES}
    for rank in range(1, plan.engines[0].nodes):
        found[f"node-{rank}.yaml"] = text(root, "node.yaml", plan, addresses, rank)
    return found


def _fetched(engine: EnginePlan) -> str:
    """What the one-shot `model` is told to fetch, as words of a shell in a Compose file."""
    words = [engine.model, *(["--revision", engine.revision] if engine.revision else [])]
    return shlex.join(words).replace("$", "$$")


def _command(engine: EnginePlan, addresses: Addresses) -> list[str]:
    """With several machines addresses are known where it is started only: the template adds them as variables."""
    if engine.nodes > 1:
        return engine.worker_command(addresses.tiny_model)
    return engine.command(addresses.tiny_model, addresses.engine_host, addresses.engine_port)


def _environment(root: Path) -> jinja2.Environment:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(root / "templates"),
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # YAML, not HTML: `tojson` and `compose` quote every value
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["tojson"] = _tojson
    environment.filters["compose"] = _compose
    return environment


def _tojson(value: Any) -> str:
    """JSON is YAML; unlike Jinja's own filter this one leaves `<`, `>` and `'` as they are."""
    import jinja2

    if isinstance(value, jinja2.Undefined):
        str(value)  # raises UndefinedError, which names what is missing
    return json.dumps(value, ensure_ascii=False)


def _compose(value: Any) -> str:
    """As `tojson`, for Compose files: `$` is doubled, or Compose would put the caller's environment there."""
    return _tojson(value).replace("$", "$$")


def _template_line(error: BaseException, name: str) -> int | str:
    line: int | str = "?"
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename.endswith(name):
            line = trace.tb_lineno
        trace = trace.tb_next
    return line
