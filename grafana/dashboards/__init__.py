"""All dashboards. A new one is a module here and a line in ALL."""

from grafana.dashboard import Dashboard
from grafana.dashboards.serving import SERVING

ALL: tuple[Dashboard, ...] = (SERVING,)
