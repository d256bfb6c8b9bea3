"""The gateway through real sockets; each test names the promise of docs/gateway-behaviour.md that it holds."""
