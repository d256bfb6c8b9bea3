"""The parts of a prompt: messages, and the images, sounds and films in them. Pure."""

from __future__ import annotations

from typing import Any

# Where each kind of part has its file: OpenAI's words, Anthropic's `source` apart.
_MEDIA = (
    "image_url", "video_url", "audio_url", "input_audio", "input_image", "image_embeds", "audio_embeds",
    "prompt_embeds", "image_pil",
)  # fmt: skip
_KINDS = frozenset(_MEDIA)
# Anthropic's tool results hold parts in turn.
_DEEP = 3


class Parts:
    """``media``: files, given inside the body or by an address; ``inline_bytes``: of those inside."""

    __slots__ = ("inline_bytes", "media", "messages", "parts")

    def __init__(self, content: dict[str, Any]) -> None:
        self.messages = 0
        self.parts = 0
        self.media = 0
        self.inline_bytes = 0
        messages = content.get("messages")
        if isinstance(messages, list):
            self._messages(messages)
        if "input" in content and isinstance(content["input"], list):
            self._messages(content["input"])
        if "system" in content:
            self._parts(content["system"], _DEEP)

    def _messages(self, messages: list[Any]) -> None:
        for message in messages:
            if not isinstance(message, dict):  # a text of several, or a token
                continue
            self.messages += 1
            inside = message.get("content")
            if isinstance(inside, list):
                self._parts(inside, _DEEP)
            if "tool_calls" in message and isinstance(message["tool_calls"], list):
                self.parts += len(message["tool_calls"])
            if "type" in message and _is_media(message["type"]):  # pooling takes parts where others have messages
                self._part(message, 0)

    def _parts(self, parts: Any, depth: int) -> None:
        if not isinstance(parts, list):
            return
        self.parts += len(parts)
        for part in parts:
            if isinstance(part, dict):
                self._part(part, depth)

    def _part(self, part: dict[str, Any], depth: int) -> None:
        kind = part.get("type")
        if kind in ("image", "document") and isinstance(part.get("source"), dict):
            source = part["source"]
            if source.get("type") != "text":
                self._file(source.get("data") if source.get("type") == "base64" else None)
        elif _is_media(kind) or (kind is None and any(name in part for name in _MEDIA)):
            name = "image_url" if kind == "input_image" else kind or next(name for name in _MEDIA if name in part)
            self._file(_url(part.get(name)))
        elif depth and "content" in part:
            self._parts(part["content"], depth - 1)

    def _file(self, inside: Any) -> None:
        self.media += 1
        if isinstance(inside, str):
            self.inline_bytes += len(inside)


def _is_media(kind: Any) -> bool:
    return isinstance(kind, str) and kind in _KINDS


def _url(value: Any) -> str | None:
    """What is given inside the body; None where the body has an address only."""
    if isinstance(value, dict):
        data = value.get("data")
        value = data if isinstance(data, str) else value.get("url")
        if value is data:
            return value if isinstance(value, str) else None
    if isinstance(value, str) and (value.startswith("data:") or "://" not in value[:16]):
        return value
    return None
