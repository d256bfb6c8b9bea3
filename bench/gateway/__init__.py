"""``python -m bench.gateway``: the gateway beside others, in one run. Not part of the image."""
