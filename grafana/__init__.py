"""Dashboards as Python: queries -> panels -> dashboards -> generated JSON (`python -m grafana`)."""
