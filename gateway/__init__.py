"""One request, from socket to socket: an OpenAI-compatible gateway in front of vLLM engines."""

__version__ = "0.1.0"
