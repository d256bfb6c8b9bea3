"""Open WebUI as a process, as `docker compose --profile chat` runs it in a container."""
