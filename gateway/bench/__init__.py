"""Comparisons that decisions rest on; not part of the image, nothing in the gateway imports it."""
