"""The Compose runtime: `docker compose` does the work, the Docker SDK reads states and logs."""
