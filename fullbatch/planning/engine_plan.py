"""`EnginePlan`: one engine of a plan, and the words that start it."""

from __future__ import annotations

from dataclasses import dataclass

from fullbatch.packaged.facts import Package
from fullbatch.planning import adapters, kv_offload, sizing
from fullbatch.planning.adapters import Lora
from fullbatch.planning.flags import Flag
from fullbatch.planning.pictures import PicturePlan
from fullbatch.planning.speed import Beside
from fullbatch.planning.turns import TurnPlan


@dataclass(frozen=True)
class EnginePlan:
    """One engine. `gpus`: its cards on each of `nodes` machines, 0 on the processor; `budget`: of all of them.

    `loras`: adapters that the profile names; `adapters`: the names of all, those of `engine.args` too. `card_ids`:
    which cards of the machine, as nvidia-smi numbers them; empty: the first. `restart_stuck`: it is started again when
    its structured output is stuck. `package`: what brings its model, where that comes from no hub. `checkpoint_gib`:
    its weights as they are fetched; `gated`: behind a licence. `capabilities`: what clients are told that it can do;
    `ignore_tools`: the tools of a request are left out. `media_domains`: hosts that it may fetch pictures from.
    `beside`: what drafts for it, and where KV cache goes that the card has no room for. `max_running`: requests that
    are sent to it at once at most. `turn`: how it takes turns with others, None where it is always there.
    """

    service: str
    device: str
    image: str
    model: str
    served_name: str
    gpus: int
    flags: tuple[Flag, ...]
    environment: tuple[tuple[str, str], ...]
    max_num_seqs: int
    max_num_batched_tokens: int
    max_model_len: int
    budget: sizing.Budget
    capacity: sizing.Capacity
    nodes: int = 1
    card_ids: tuple[int, ...] = ()
    adapters: tuple[str, ...] = ()
    loras: tuple[Lora, ...] = ()
    pictures: PicturePlan | None = None
    media_domains: tuple[str, ...] = ()
    restart_stuck: bool = False
    package: Package | None = None
    gated: bool = False
    checkpoint_gib: float = 0.0
    capabilities: tuple[str, ...] = ("completion",)
    ignore_tools: bool = False
    beside: Beside = Beside()
    max_running: int = 0
    turn: TurnPlan | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """All that can be asked for: the model, and the adapters that are loaded with it."""
        return (self.served_name, *self.adapters)

    @property
    def needs_weights(self) -> bool:
        """Whether it comes from the hub: not made here, not brought by a package, not a folder that is there."""
        return self.local is None and not self.model.startswith("/")

    @property
    def fetched(self) -> list[str]:
        """What of the hub has to be there before it starts, as words of `runtime/fetch.py`; empty: nothing."""
        words = [self.model, *(["--revision", self.revision] if self.revision else [])] if self.needs_weights else []
        also = ["--also", self.beside.draft_model] if self.beside.draft_model else []
        return [*words, *also, *adapters.fetched(self.loras)]

    @property
    def folder(self) -> str | None:
        """The folder of this machine that it lies in; None for one that comes from elsewhere."""
        return self.model if self.model.startswith("/") else None

    @property
    def folders(self) -> tuple[str, ...]:
        """Folders of this machine that it reads: its model's, and those of adapters."""
        return (*([self.folder] if self.folder else []), *(lora.folder for lora in self.loras if lora.folder))

    @property
    def local(self) -> str | None:
        """Where it lies below the runtime's folder of models; None for one of the hub."""
        if self.package:
            return self.package.folder
        return "cpu-tiny" if self.model == "tiny" else None

    @property
    def revision(self) -> str | None:
        """The commit that is served, where a flag says so; None: what `main` is when it is fetched."""
        return next((str(flag.value) for flag in self.flags if flag.name == "revision"), None)

    @property
    def cards(self) -> int:
        """Its cards on all machines."""
        return self.gpus * self.nodes

    def command(self, model_path: str, host: str, port: int, hub: str = "", kv: str = kv_offload.FOLDER) -> list[str]:
        """The words after `vllm serve`. The runtime says where files lie (the model, its `hub`, KV cache), and where to
        listen."""
        return [*self.worker_command(model_path, hub, kv), "--host", host, "--port", str(port)]

    def worker_command(self, model_path: str, hub: str = "", kv: str = kv_offload.FOLDER) -> list[str]:
        """The same for the engine's part on another machine, which listens to nobody."""
        words = [model_path if self.local else self.model, "--served-model-name", self.served_name]
        for flag in self.flags:
            own = self.loras and flag.name == adapters.MODULES
            words += adapters.words(self.loras, hub) if own else flag.words()
        return kv_offload.placed(words, kv) if self.beside.kv_disk_gib else words
