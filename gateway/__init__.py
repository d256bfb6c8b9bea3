"""One request, from socket to socket: an OpenAI-compatible gateway in front of vLLM engines."""

from common.version import VERSION

__version__ = VERSION
