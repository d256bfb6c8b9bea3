"""Tests lie at the path of what they test."""
