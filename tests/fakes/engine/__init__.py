"""A stand-in for vLLM 0.32: its API, its metric names, its queueing, and faults on request.

Run it: ``python -m tests.fakes.engine --port 8000 --model tiny``. Change a knob while it runs:
``POST /fake/knobs {"fault": "mid-stream"}``. It counts running requests truthfully: one whose client has gone
leaves the batch at once.
"""
