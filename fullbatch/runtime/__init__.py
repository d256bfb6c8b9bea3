"""Starting a plan and finding it again: as containers, as plain processes, or by a further runtime.

`base` says what a runtime is, `registry` which there are. Nobody outside this folder names one of them.
"""
