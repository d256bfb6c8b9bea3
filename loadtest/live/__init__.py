"""Live numbers during a run: Locust's page and Prometheus."""
