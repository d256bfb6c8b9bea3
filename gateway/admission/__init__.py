"""Admission: which requests go to an engine now, which wait, which are rejected."""
