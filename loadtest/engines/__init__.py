"""Samples the engines' /metrics and processes during a run."""
