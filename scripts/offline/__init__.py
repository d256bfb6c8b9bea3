"""A Docker Engine and stand-ins for the public base images, from Debian's and PyPI's packages alone.

Only the standard library: it runs before `.venv` exists. `cli.py` is the one place that prints and exits.
"""
