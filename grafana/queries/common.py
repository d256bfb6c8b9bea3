"""What all dashboards share: variables, annotations, verdicts."""

from grafana.query import DEPLOYMENT, Query, rate, series

DEPLOYMENTS = 'label_values(up{job=~"gateway|vllm"}, deployment)'
MODELS = f"label_values(vllm:num_requests_running{{{DEPLOYMENT}}}, model_name)"
ENGINE_STARTS = "changes(" + series("process_start_time_seconds", 'job="vllm"') + "[1m]) > 0"
STAGE_STARTS = series("loadtest_stage_started_timestamp_seconds") + " * 1000"

NO_LOAD_TEST = "no load test runs"
NO_STREAM = "nobody streams"

LIMIT_STATE = Query(series("deployment:vllm_limit:state"), "limit")
NEXT_STEP = Query(series("deployment:vllm_next_step:state"), "advice")
ALERTS = Query(
    'max by (alertname) (ALERTS{alertstate="firing", severity!="info", deployment=~"$deployment|"})',
    "{{alertname}}",
    empty_when="no alert fires",
)
LOAD_TEST_USERS = Query(series("loadtest_users"), "load test users", empty_when=NO_LOAD_TEST)
LOAD_TEST_REQUESTS = Query(rate("loadtest_requests_total", by="outcome"), "{{outcome}}", empty_when=NO_LOAD_TEST)
LOAD_TEST_OUTPUT = Query(rate("loadtest_output_tokens_total"), "counted by the load test", empty_when=NO_LOAD_TEST)
