"""Gateways that are compared where they are installed.

On Debian: ``libnginx-mod-http-lua`` with ``lua-cjson``, and ``caddy``.
"""

import hashlib
import secrets
import shutil
from pathlib import Path

from benchmarks.gateway.subjects import MODEL, UPSTREAM_KEY, Place, Started, Subject, nginx_places

MODULES = Path("/usr/lib/nginx/modules")
LUA = ("ndk_http_module.so", "ngx_http_lua_module.so")


def nginx_lua(directory: Path, port: int, upstream: Place) -> Started:
    """One nginx worker whose Lua hashes the key and looks it up, counts, parses the body, and reads the usage."""
    key = "sk-" + secrets.token_hex(16)
    digest = "".join(f"\\x{byte:02x}" for byte in hashlib.sha1(key.encode(), usedforsecurity=False).digest())
    configuration = directory / "nginx.conf"
    modules = " ".join(f"load_module {MODULES / one};" for one in LUA)
    configuration.write_text(f"""
{modules}
daemon off; worker_processes 1; worker_rlimit_nofile 16384; pid {directory}/nginx.pid; error_log {directory}/error.log;
events {{ worker_connections 16384; }}
http {{
  access_log off; keepalive_requests 1000000000; client_body_buffer_size 1m;
  {nginx_places(directory)}
  lua_shared_dict counts 10m;
  init_by_lua_block {{
    json = require "cjson.safe"
    members = {{ ["{digest}"] = "member" }}
    models = {{ ["{MODEL}"] = true }}
  }}
  upstream api {{ server 127.0.0.1:{upstream.port}; keepalive 8192; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      access_by_lua_block {{
        local key = ngx.var.http_x_api_key
        local member = key and members[ngx.sha1_bin(key)]
        if not member then return ngx.exit(401) end
        ngx.shared.counts:incr(member, 1, 0)
        ngx.req.read_body()
        local asked = json.decode(ngx.req.get_body_data() or "")
        if not asked or not models[asked.model] then return ngx.exit(400) end
        ngx.ctx.member = member
      }}
      body_filter_by_lua_block {{
        local piece = ngx.arg[1]
        if piece and string.find(piece, '"usage"', 1, true) then
          local used = string.match(piece, '"output_tokens":(%d+)')
          if used then ngx.shared.counts:incr("tokens", tonumber(used), 0) end
        end
      }}
      proxy_pass http://api; proxy_http_version 1.1; proxy_buffering off; proxy_set_header Connection "";
      proxy_set_header authorization ""; proxy_set_header x-api-key "{UPSTREAM_KEY}";
    }}
  }}
}}
""")
    return Started(["nginx", "-c", str(configuration), "-e", str(directory / "error.log")], {}, key)


def caddy(directory: Path, port: int, upstream: Place) -> Started:
    """Caddy, which swaps the credential and relays unbuffered."""
    configuration = directory / "Caddyfile"
    configuration.write_text(f"""
{{
  admin off
  auto_https off
}}
http://127.0.0.1:{port} {{
  reverse_proxy 127.0.0.1:{upstream.port} {{
    flush_interval -1
    header_up x-api-key {UPSTREAM_KEY}
    header_up -authorization
    transport http {{
      keepalive_idle_conns_per_host 8192
    }}
  }}
}}
""")
    environment = {"HOME": str(directory), "GOMAXPROCS": "1"}
    return Started([str(shutil.which("caddy")), "run", "--config", str(configuration)], environment, "anything")


def installed() -> tuple[Subject, ...]:
    """Return those that this machine has."""
    found = []
    if all((MODULES / one).exists() for one in LUA):
        found.append(Subject("nginx + Lua", "key, counter, model, swap, usage; nothing on a disk", nginx_lua))
    if shutil.which("caddy"):
        found.append(Subject("Caddy", "credential swap only", caddy))
    return tuple(found)
