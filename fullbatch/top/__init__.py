"""What `fullbatch top` shows: a running deployment's batch, KV cache, queue and speed, read anew every second.

sources -> where a deployment's /metrics are; figures -> two readings to numbers; screen -> numbers to a picture.
"""
