"""Numbers while a run lasts: Locust's page and Prometheus."""
