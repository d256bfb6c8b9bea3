"""The settings that each request asks for: limits, aliases, prefix sharing; replaced on a reload."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping

from gateway.config.setting_types import RequestLimits
from gateway.config.settings import Settings

_NO_ALIASES: dict[str, str] = {}


class Rules:
    """Frozen once made; a reload makes another one.

    ``by_key``: keys share no prefix cache (`prefix_sharing: key`). ``deployment``: keeps the salts of two deployments
    apart. ``origins``: of web pages that may ask; "*" is any. ``operators``: names of keys that may see what all use.
    """

    def __init__(
        self,
        limits: RequestLimits | None = None,
        aliases: Mapping[str, str] = _NO_ALIASES,
        by_key: bool = False,
        deployment: str = "",
        origins: Collection[str] = (),
        operators: Collection[str] = (),
    ) -> None:
        self.limits = limits or RequestLimits()
        self.by_key = by_key
        self.deployment = deployment
        self.origins = frozenset(origin.encode() for origin in origins)
        self.operators = frozenset(operators)
        self._aliases = dict(aliases)
        beginnings = {alias[:-1]: model for alias, model in aliases.items() if alias.endswith("*")}
        # The longest first: it says most.
        self._beginnings = sorted(beginnings.items(), key=lambda item: -len(item[0]))

    @classmethod
    def of(cls, settings: Settings) -> Rules:
        by_key = settings.prefix_sharing == "key"
        limits, origins = settings.limits.requests, settings.cors.origins
        return cls(limits, settings.aliases, by_key, settings.deployment, origins, settings.operators)

    def resolve(self, name: str, known: Collection[str]) -> str:
        """The model that is meant: the name itself where there is such a model, or what it is an alias of."""
        if name in known or not self._aliases:
            return name
        found = self._aliases.get(name)
        if found is not None:
            return found
        return next((model for start, model in self._beginnings if name.startswith(start)), name)

    def salt(self, who: str, own: object = None) -> str:
        """The `cache_salt` of a key's requests; ``own``: the client's, which tells only its own requests apart.

        Made of names alone, so that it is the same after a restart and in every gateway. It need be no secret: whatever
        a client sends is hashed together with its key's name, so no client can send another's.
        """
        text = "\0".join(("fullbatch", self.deployment, who, own if isinstance(own, str) else ""))
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


# The rules as they are now.
CurrentRules = Callable[[], Rules]
