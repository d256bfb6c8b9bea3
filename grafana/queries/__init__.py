"""Every series that a dashboard draws. The only folder under grafana/ that names a metric."""
