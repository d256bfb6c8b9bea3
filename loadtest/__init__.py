"""The load test: Locust users that read token streams, a report, and a verdict."""
