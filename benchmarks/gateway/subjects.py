"""The gateways that are compared, and how each is started: one process on one core, loopback only."""

import os
import secrets
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.gateway import measure

ROOT = Path(__file__).resolve().parents[2]
LITELLM = "1.106.2"
MODEL = "claude-sonnet-4-5"
UPSTREAM_KEY = "bench-upstream-key"
_KEPT = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


@dataclass(frozen=True)
class Place:
    """Where the fake Messages API answers.

    Attributes:
        authority: the certificate by which it is known when it is asked over TLS, or None for plain HTTP.
    """

    port: int
    authority: Path | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}" if self.authority is None else f"https://localhost:{self.port}"


@dataclass(frozen=True)
class Started:
    """A command to run, with its environment, and the key that its callers send."""

    command: list[str]
    environment: dict[str, str]
    key: str


@dataclass(frozen=True)
class Subject:
    """One row of the table.

    Attributes:
        does: what it does for each request, because speed without that word means nothing.
        start: (directory, own port, upstream) -> how to start it.
        streams: how many streams at once it is asked to carry.
        holds: whether it is asked to hold very many of them.
        tls: whether it is also asked to reach an upstream behind TLS.
    """

    name: str
    does: str
    start: Callable[[Path, int, Place], Started]
    streams: int = 500
    holds: bool = True
    tls: bool = False


def nginx_places(directory: Path) -> str:
    """Return where an nginx puts what it would otherwise put where only root may."""
    return " ".join(f"{name}_temp_path {directory}/{name};" for name in _KEPT)


def nginx(directory: Path, port: int, upstream: Place) -> Started:
    """One worker that swaps the credential and relays unbuffered: the limit of what is possible."""
    configuration = directory / "nginx.conf"
    tls = ""
    if upstream.authority is not None:
        tls = f"proxy_ssl_verify on; proxy_ssl_trusted_certificate {upstream.authority}; proxy_ssl_name localhost;"
    configuration.write_text(f"""
daemon off; worker_processes 1; worker_rlimit_nofile 16384; pid {directory}/nginx.pid; error_log {directory}/error.log;
events {{ worker_connections 16384; }}
http {{
  access_log off; keepalive_requests 1000000000; client_body_buffer_size 1m;
  {nginx_places(directory)}
  upstream api {{ server 127.0.0.1:{upstream.port}; keepalive 8192; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass {upstream.url.partition(":")[0]}://api; {tls}
      proxy_http_version 1.1; proxy_buffering off; proxy_set_header Connection "";
      proxy_set_header authorization ""; proxy_set_header x-api-key "{UPSTREAM_KEY}";
    }}
  }}
}}
""")
    return Started(["nginx", "-c", str(configuration), "-e", str(directory / "error.log")], {}, "anything")


def haproxy(directory: Path, port: int, upstream: Place) -> Started:
    """One thread that looks the key up in a map, counts by it, swaps the credential and relays."""
    key = "sk-" + secrets.token_hex(16)
    (directory / "keys").write_text(f"{key} member\n")
    configuration = directory / "haproxy.cfg"
    configuration.write_text(f"""
global
  nbthread 1
  maxconn 8192
defaults
  mode http
  timeout connect 10s
  timeout client 300s
  timeout server 600s
frontend agents
  bind 127.0.0.1:{port}
  http-request deny deny_status 401 unless {{ req.hdr(x-api-key),map({directory}/keys) -m found }}
  stick-table type string len 64 size 100k store http_req_cnt
  http-request track-sc0 req.hdr(x-api-key)
  http-request del-header authorization
  http-request set-header x-api-key {UPSTREAM_KEY}
  default_backend api
backend api
  http-reuse always
  server api 127.0.0.1:{upstream.port}
""")
    return Started(["haproxy", "-db", "-f", str(configuration)], {}, key)


def keystead(directory: Path, port: int, upstream: Place, *, keys: int = 0) -> Started:
    """The whole server as `make run` starts it, with a policy, limits and metrics: what :mod:`.seed` sets up."""
    environment = {
        "KEYSTEAD_SERVER_DATA_DIR": str(directory / "data"),
        "KEYSTEAD_SERVER_PORT": str(port),
        "KEYSTEAD_SERVER_METRICS_PORT": str(measure.free_port()),
        "KEYSTEAD_SERVER_UPSTREAM_URL": upstream.url,
        "KEYSTEAD_SERVER_UPSTREAM_API_KEY": UPSTREAM_KEY,
        "HOME": str(directory),
        "PATH": os.defpath,
    }
    if upstream.authority is not None:
        environment["SSL_CERT_FILE"] = str(upstream.authority)
    seed = [sys.executable, "-m", "benchmarks.gateway.seed", str(keys)]
    key = subprocess.run(seed, env=environment, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
    return Started([str(Path(sys.executable).with_name("keystead")), "server", "run"], environment, key)


def with_keys(number: int) -> Subject:
    """Keystead with so many more keys in its database."""

    def start(directory: Path, port: int, upstream: Place) -> Started:
        return keystead(directory, port, upstream, keys=number)

    return Subject(f"{number:,} keys", "as above", start)


def litellm(directory: Path, port: int, upstream: Place) -> Started:
    """LiteLLM's proxy with a master key and no database."""
    key = "sk-" + secrets.token_hex(16)
    configuration = directory / "litellm.yaml"
    configuration.write_text(f"""
model_list:
  - model_name: {MODEL}
    litellm_params: {{model: anthropic/{MODEL}, api_base: "{upstream.url}", api_key: {UPSTREAM_KEY}}}
general_settings: {{master_key: {key}}}
litellm_settings: {{telemetry: false}}
""")
    environment = {
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_LOG": "ERROR",
        "HOME": str(directory),
        "PATH": os.defpath,
    }
    command = [str(litellm_program()), "--config", str(configuration), "--host", "127.0.0.1", "--port", str(port)]
    return Started([*command, "--num_workers", "1"], environment, key)


def litellm_program() -> Path:
    """Install the pinned version into an environment of its own below ``build/``, once."""
    place = ROOT / "build" / f"litellm-{LITELLM}"
    program = place / "bin/litellm"
    if not program.exists():
        print(f"Installing LiteLLM {LITELLM} into {place.relative_to(ROOT)} (once) …", file=sys.stderr, flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(place)], check=True)
        pip = [str(place / "bin/pip"), "--disable-pip-version-check", "--quiet", "--quiet", "install"]
        subprocess.run([*pip, f"litellm[proxy]=={LITELLM}"], check=True)
    return program


SUBJECTS = (
    Subject("nginx", "credential swap only", nginx, tls=True),
    Subject("HAProxy", "key map, counter, swap", haproxy),
    Subject("Keystead", "key, policy, limits, swap, usage, metrics, durable ledger", keystead, tls=True),
    Subject("LiteLLM", "key, model, swap, usage; no database", litellm, streams=10, holds=False),
)
