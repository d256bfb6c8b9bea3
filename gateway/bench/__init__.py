"""``python -m gateway.bench``: the gateway beside others, in one run. Not part of the image."""
