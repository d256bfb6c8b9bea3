"""Models that take turns on a card."""

from grafana.query import Query, rate, series

_NOBODY = "no models take turns"

_READY = series("gateway_model_state", 'state="ready"')
READY = Query(f"max by (model) ({_READY})", "{{model}}", _NOBODY)
WAITING = Query(f"sum by (model) ({series('gateway_model_waiting')})", "{{model}}: waiting", _NOBODY)
FIRST_WAIT = Query(f"max by (model) ({series('gateway_model_first_wait_seconds')})", "{{model}}: first, s", _NOBODY)
LOST = Query(rate("gateway_card_lost_seconds_total", by="card"), "{{card}}", _NOBODY)
SWITCHES = Query(rate("gateway_model_switches_total", by="reason"), "switches: {{reason}}", _NOBODY)
FAILURES = Query(rate("gateway_model_load_failures_total", by="model, why"), "{{model}} failed: {{why}}", _NOBODY)
