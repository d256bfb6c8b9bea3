"""Measures a deployment: under load, and its memory."""
