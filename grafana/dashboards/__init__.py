"""All dashboards, in the order of their questions. A new one is a module here and a line in ALL."""

from grafana.dashboard import Dashboard
from grafana.dashboards.batch import BATCH
from grafana.dashboards.gateway import GATEWAY
from grafana.dashboards.hardware import HARDWARE
from grafana.dashboards.overview import OVERVIEW
from grafana.dashboards.time_goes import TIME_GOES

ALL: tuple[Dashboard, ...] = (OVERVIEW, BATCH, TIME_GOES, GATEWAY, HARDWARE)
