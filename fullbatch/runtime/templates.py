"""Fills in templates for a plan. An undefined name is an error; every value goes through JSON."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fullbatch.core.errors import UsageError
from fullbatch.planning import card_memory
from fullbatch.planning.engine_plan import EnginePlan
from fullbatch.planning.plan import Plan
from fullbatch.runtime import launcher_file

if TYPE_CHECKING:  # as the Docker SDK: `fullbatch plan` answers faster without it
    import jinja2


@dataclass(frozen=True)
class Addresses:
    """Where things listen and lie in one runtime: containers and plain processes differ in nothing else.

    `models`: of ours; `hub`: the cache of Hugging Face's library. `launchers`: their sockets, by the name of the cards.
    `reports`: of load tests, where the gateway can read them.
    """

    listen_host: str
    listen_port: int
    metrics_port: int | None
    metrics_socket: str
    api_keys_file: str
    store: str
    engine_host: str
    engine_port: int
    engine_urls: dict[str, str]
    models: str
    hub: str = ""
    reports: str = ""
    launchers: Mapping[str, str] = field(default_factory=dict)

    def turn(self, engine: EnginePlan) -> dict[str, Any]:
        """What the gateway is told of an engine that takes turns."""
        assert engine.turn is not None  # the template asks
        return launcher_file.turn(engine, self.launchers[engine.turn.card])

    def model_path(self, engine: EnginePlan) -> str:
        """Where its model lies, for one that comes from no hub."""
        return f"{self.models}/{engine.local}"


def text(root: Path, template: str, plan: Plan, addresses: Addresses, more: Mapping[str, Any] | None = None) -> str:
    """`templates/<template>.j2` filled in; `more`: what else of names the templates of one runtime use.

    UsageError naming template and line when it asks for what is not there.
    """
    import jinja2

    environment = _environment(root)
    context = {
        "plan": plan,
        "addresses": addresses,
        "limits": dataclasses.asdict(plan.limits),
        "memory": card_memory.settings(plan),
        **(more or {}),
    }
    name = f"{template}.j2"
    try:
        return environment.get_template(name).render(context)
    except jinja2.TemplateNotFound as error:
        raise UsageError(f"templates/{name}: this template is missing; restore it from the repository") from error
    except jinja2.TemplateSyntaxError as error:
        raise UsageError(f"templates/{error.name or name}: line {error.lineno}: {error.message}") from error
    except jinja2.UndefinedError as error:
        raise UsageError(f"templates/{name}: line {_template_line(error, name)}: {error.message}") from error


@lru_cache(maxsize=4)
def _environment(root: Path) -> jinja2.Environment:
    """One for all files of a run: it keeps each template as compiled, and looks whether the file has changed since."""
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
