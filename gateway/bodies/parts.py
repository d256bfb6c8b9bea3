"""The parts of a prompt: messages, and the images, sounds and films in them. Pure."""

from __future__ import annotations

from typing import Any

# Where each kind of part has its file: OpenAI's words, Anthropic's `source` apart.
_MEDIA = (
    "image_url", "video_url", "audio_url", "input_audio", "input_image", "image_embeds", "audio_embeds",
    "prompt_embeds", "image_pil",
)  # fmt: skip
_KINDS = frozenset(_MEDIA)
_KINDS_OF = {
    "image_url": "image", "video_url": "video", "audio_url": "audio", "input_audio": "audio", "input_image": "image",
    "image_embeds": "embeds", "audio_embeds": "embeds", "prompt_embeds": "embeds", "image_pil": "embeds",
}  # fmt: skip
# What is no data URL here is an address, however it is written.
_ADDRESSES = ("video_url", "audio_url")
# Anthropic's tool results hold parts in turn.
_DEEP = 3


class MediaFile:
    """``kind``: image, video, audio, document or embeds. ``inside``: what of it stands in the body, as it stands there;
    ``address``: where it is instead."""

    __slots__ = ("address", "inside", "kind")

    def __init__(self, kind: str, inside: str | None, address: str | None) -> None:
        self.kind = kind
        self.inside = inside
        self.address = address


class Parts:
    """``files``: given inside the body or by an address, and how many (``media``); ``inline_bytes``: of those inside.

    ``media_tokens``: what they cost, as `pictures` finds out.
    """

    __slots__ = ("files", "inline_bytes", "media_tokens", "messages", "parts")

    def __init__(self, content: dict[str, Any]) -> None:
        self.messages = 0
        self.parts = 0
        self.files: list[MediaFile] = []
        self.media_tokens = 0
        self.inline_bytes = 0
        messages = content.get("messages")
        if isinstance(messages, list):
            self._messages(messages)
        if "input" in content and isinstance(content["input"], list):
            self._messages(content["input"])
        if "system" in content:
            self._parts(content["system"], _DEEP)

    @property
    def media(self) -> int:
        return len(self.files)

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
                elsewhere = source.get("type") in ("url", "file")
                self._file(kind, source.get("url" if elsewhere else "data"), elsewhere)
        elif _is_media(kind):
            self._named(part, "image_url" if kind == "input_image" else str(kind))
        elif kind is None and any(name in part for name in _MEDIA):
            for name in _MEDIA:  # which of several an engine takes is its own affair
                if name in part:
                    self._named(part, name)
        elif depth and "content" in part:
            self._parts(part["content"], depth - 1)

    def _named(self, part: dict[str, Any], name: str) -> None:
        given = _given(part.get(name))
        self._file(_KINDS_OF[name], given, _is_address(given, name))

    def _file(self, kind: str, given: Any, is_address: bool) -> None:
        text = given if isinstance(given, str) else None
        if is_address:
            self.files.append(MediaFile(kind, None, text or ""))
            return
        self.files.append(MediaFile(kind, text, None))
        if text is not None:
            self.inline_bytes += len(text)


def _is_media(kind: Any) -> bool:
    return isinstance(kind, str) and kind in _KINDS


def _given(value: Any) -> Any:
    """What stands in the body of a file: the file itself, or its address."""
    if isinstance(value, dict):
        data = value.get("data")
        return data if isinstance(data, str) else value.get("url")
    return value


def _is_address(given: Any, name: str) -> bool:
    if not isinstance(given, str) or given[:5].lower() == "data:":
        return False
    return "://" in given[:16] or name in _ADDRESSES
