"""The folder that Fullbatch runs from: what it holds, where it is, and how one is laid out without git.

Nothing here imports more than the standard library: setup.py needs it before anything is installed.
"""
