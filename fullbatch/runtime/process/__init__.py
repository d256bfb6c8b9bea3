"""The process runtime: plain processes, for machines without Docker."""
