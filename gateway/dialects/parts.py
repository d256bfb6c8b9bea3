"""What a prompt is made of: messages, their parts, and the images, sounds and films among them. Pure."""

from __future__ import annotations

from typing import Any

# Where each kind of part has its file: OpenAI's words, Anthropic's `source` apart.
_MEDIA = (
    "image_url", "video_url", "audio_url", "input_audio", "input_image", "image_embeds", "audio_embeds",
    "prompt_embeds", "image_pil",
)  # fmt: skip
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
        for name in ("messages", "input"):
            messages = content.get(name)
            if isinstance(messages, list):
                self._messages(messages)
        self._parts(content.get("system"), _DEEP)

    def _messages(self, messages: list[Any]) -> None:
        for message in messages:
            if isinstance(message, dict):  # else a text of several, or a token
                self.messages += 1
                self._parts(message.get("content"), _DEEP)
                calls = message.get("tool_calls")
                if isinstance(calls, list):
                    self.parts += len(calls)
                if message.get("type") in _MEDIA:  # pooling takes parts where others have messages
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
        elif kind in _MEDIA or (kind is None and any(name in part for name in _MEDIA)):
            name = "image_url" if kind == "input_image" else kind or next(name for name in _MEDIA if name in part)
            self._file(_url(part.get(name)))
        elif depth and "content" in part:
            self._parts(part["content"], depth - 1)

    def _file(self, inside: Any) -> None:
        self.media += 1
        if isinstance(inside, str):
            self.inline_bytes += len(inside)


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
