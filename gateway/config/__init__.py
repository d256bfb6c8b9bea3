"""Reads gateway.yaml, and reads it again when it changes."""
