"""What the model of a profile can do beside writing text: tools, thinking, seeing. Chooses the engine's parsers for it,
and what the gateway tells clients. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from common.faults import did_you_mean
from fullbatch.catalog import Model, families, parsers
from fullbatch.catalog.families import Family
from fullbatch.planning import engine_args
from fullbatch.planning.feasible import CannotWork
from fullbatch.planning.flags import Flag
from fullbatch.planning.profile import Profile

_AUTO, _TOOLS, _THINKING, _KWARGS = (
    "enable-auto-tool-choice", "tool-call-parser", "reasoning-parser", "default-chat-template-kwargs",
)  # fmt: skip
_NO_TEXT = "it makes vectors or scores, no text"
_NO_KEY = "set the profile's `tools` to a parser if it can (docs/clients.md)"


@dataclass(frozen=True)
class Capabilities:
    """`flags` for the engine, and in `left` what is not given and why.

    `named`: what clients are told, in Ollama's words. `ignore_tools`: the gateway leaves out a request's tools, instead
    of refusing it.
    """

    flags: tuple[Flag, ...]
    left: tuple[tuple[str, str], ...]
    named: tuple[str, ...]
    ignore_tools: bool


def choose(profile: Profile, model: Model) -> Capabilities:
    """For `profile`; CannotWork for a parser that the engine lacks, or a wish that the model cannot fulfil."""
    family = families.of(model)
    makes_text = not model.pooling and profile.engine.args.get("runner") != "pooling"
    if not makes_text:
        family = Family(family.name, why_no_tools=_NO_TEXT, why_no_thinking=_NO_TEXT)
    tools, calls = _tools(profile, family)
    thinking, thought = _thinking(profile, family)
    flags = [*_given_tools(tools, calls), *_given_thinking(profile, family, thinking, thought)]
    left = [] if tools else [(_TOOLS, calls)]
    left += [] if thinking else [(_THINKING, thought)]
    return Capabilities(
        flags=tuple(flag for flag in flags if flag.name not in profile.engine.args),
        left=tuple(left),
        named=_named(profile, model, makes_text, bool(tools), bool(thinking)),
        ignore_tools=profile.tools == "ignore" and not tools,
    )


def _tools(profile: Profile, family: Family) -> tuple[str, str]:
    """The parser of calls, "" for none, and why."""
    args, wish = profile.engine.args, profile.tools
    if args.get(_AUTO) is False:
        return "", f"engine.args.{_AUTO} is false: requests with tools are refused"
    if _TOOLS in args:
        _must_be_known(f"engine.args.{_TOOLS}", str(args[_TOOLS]), parsers.tool(), "tool-parser-plugin" in args)
        return str(args[_TOOLS]), "engine.args names a parser of calls"
    if wish == "off":
        return "", "tools: off: requests with tools are refused"
    if wish == "ignore":
        return "", "tools: ignore: the gateway leaves out the tools of a request"
    if wish != "auto":
        _must_be_known("tools", wish, parsers.tool(), "tool-parser-plugin" in args, "auto, off, ignore")
        return wish, f"tools: {wish}"
    if family.tools:
        return (
            family.tools,
            f"{family.name} writes calls so; without it requests with tools are refused (profile: tools)",
        )
    return "", f"{family.why_no_tools}: requests with tools are refused; {_NO_KEY}"


def _thinking(profile: Profile, family: Family) -> tuple[str, str]:
    """The parser of thinking, "" for none, and why."""
    args, wish = profile.engine.args, profile.thinking
    if wish in ("on", "off") and not _can_be_switched(family, wish):
        what = "it always thinks first" if family.thinking else family.why_no_thinking
        raise CannotWork(f"thinking: {wish}: {profile.model}: {what}; write thinking: auto, or remove it")
    if _THINKING in args:
        known, plugged = parsers.reasoning(), "reasoning-parser-plugin" in args
        _must_be_known(f"engine.args.{_THINKING}", str(args[_THINKING]), known, plugged)
        return str(args[_THINKING]), "engine.args names a parser of thinking"
    if wish == "inline":
        return "", "thinking: inline: it stands in the answer as the model writes it"
    if wish not in ("auto", "on", "off"):
        plugged = "reasoning-parser-plugin" in args
        _must_be_known("thinking", wish, parsers.reasoning(), plugged, "auto, on, off, inline")
        return wish, f"thinking: {wish}"
    if not family.thinking:
        return "", f"{family.why_no_thinking}: nothing is to be separated from the answer"
    return family.thinking, f"{family.name} thinks first; else that stands in the answer (profile: thinking)"


def _can_be_switched(family: Family, wish: str) -> bool:
    return bool(family.switch) or bool(family.thinking) == (wish == "on")


def _must_be_known(place: str, name: str, known: frozenset[str], plugged: bool, other: str = "") -> None:
    """CannotWork for a name that no parser of the engine has, where no plug-in (engine.args) can bring it."""
    if name in known or plugged:
        return
    also = f"{other} or " if other else ""
    names = ", ".join(sorted(known))
    raise CannotWork(
        f"{place}: '{name}' is no parser of vLLM {parsers.recorded_version()}{did_you_mean(name, known)}; "
        f"write {also}one of {names}"
    )


def _given_tools(parser: str, why: str) -> list[Flag]:
    if not parser:
        return []
    return [Flag(_AUTO, True, "the model decides itself when to call a tool"), Flag(_TOOLS, parser, why)]


def _given_thinking(profile: Profile, family: Family, parser: str, why: str) -> list[Flag]:
    if not parser:
        return []
    found = [Flag(_THINKING, parser, why)]
    kwargs = dict(family.kwargs)
    if profile.thinking in ("on", "off") and family.switch:
        kwargs[family.switch] = profile.thinking == "on"
    if kwargs:
        said = (
            f"thinking: {profile.thinking}" if profile.thinking != "auto" else f"as {family.name} is meant to be used"
        )
        found.append(Flag(_KWARGS, kwargs, f"{said}; a request's own chat_template_kwargs win"))
    return found + [Flag(name, value, f"{family.name} needs it") for name, value in family.flags.items()]


def _named(profile: Profile, model: Model, makes_text: bool, tools: bool, thinking: bool) -> tuple[str, ...]:
    if not makes_text:
        # Scores and classes have no word in Ollama's API.
        return ("embedding",) if "Classification" not in model.title and "Reward" not in model.title else ()
    said = {"tools": tools, "thinking": thinking, "vision": model.sees and not _blind(profile)}
    return ("completion", *(name for name, can in said.items() if can))


def _blind(profile: Profile) -> bool:
    """Whether the profile leaves the encoder of images out."""
    if profile.pictures == 0:
        return True
    args = profile.engine.args
    return args.get("language-model-only") is True or engine_args.parts(args, "limit-mm-per-prompt").get("image") == 0
