"""Starts, stops and puts to sleep the engines that take turns on one card. Standard library only, Python 3.10 or later.

It runs inside vLLM's image, so it may import nothing but itself. ``python -m launcher FILE`` reads launcher.json and
answers on a Unix socket: a caller names a model, and never passes a command.
"""
