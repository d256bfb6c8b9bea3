"""Benches of our own programs; in no image and no wheel."""
