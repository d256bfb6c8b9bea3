"""Configuration files of the other gateways: one worker, no logs, connections kept, streams not buffered."""

from __future__ import annotations

from pathlib import Path

import yaml

from bench.gateway.request import KEY, MODEL

_NGINX = """\
worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log crit;
events {{ worker_connections 8192; }}
http {{
  access_log off;
  tcp_nodelay on;
  keepalive_requests 100000000;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  upstream engine {{ server 127.0.0.1:{engine}; keepalive 512; keepalive_requests 100000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{
      proxy_pass http://engine;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
      proxy_read_timeout 600s;
      client_body_buffer_size 64k;
    }}
  }}
}}
"""
_HAPROXY = """\
global
  nbthread 1
  maxconn 8192
defaults
  mode http
  option http-no-delay
  http-reuse always
  timeout connect 5s
  timeout client 600s
  timeout server 600s
frontend clients
  bind 127.0.0.1:{port}
  default_backend engines
backend engines
  server engine 127.0.0.1:{engine}
"""
_ENVOY = """\
static_resources:
  listeners:
  - address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: clients
          route_config:
            virtual_hosts:
            - name: engine
              domains: ["*"]
              routes: [{{match: {{prefix: /}}, route: {{cluster: engine, timeout: 0s}}}}]
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {{"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
  clusters:
  - name: engine
    connect_timeout: 5s
    circuit_breakers: {{thresholds: [{{max_connections: 8192, max_pending_requests: 8192, max_requests: 8192}}]}}
    load_assignment:
      cluster_name: engine
      endpoints:
      - lb_endpoints:
        - endpoint: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {engine}}}}}}}
"""


def nginx(folder: Path, port: int, engine: int) -> Path:
    return _write(folder / "nginx.conf", _NGINX.format(folder=folder, port=port, engine=engine))


def haproxy(folder: Path, port: int, engine: int) -> Path:
    return _write(folder / "haproxy.cfg", _HAPROXY.format(port=port, engine=engine))


def envoy(folder: Path, port: int, engine: int) -> Path:
    return _write(folder / "envoy.yaml", _ENVOY.format(port=port, engine=engine))


def litellm(folder: Path, engine: int) -> Path:
    """One model, one key, no database."""
    parameters = {"model": f"hosted_vllm/{MODEL}", "api_base": f"http://127.0.0.1:{engine}/v1", "api_key": "none"}
    models = [{"model_name": MODEL, "litellm_params": parameters}]
    settings = {"model_list": models, "general_settings": {"master_key": KEY}}
    return _write(folder / "litellm.yaml", yaml.safe_dump(settings))


def _write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path
