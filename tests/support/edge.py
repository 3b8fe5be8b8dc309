"""nginx before a server, with the configuration that we tell people to use and nothing in it but places changed."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

DEPLOY: Final = Path(__file__).resolve().parents[2] / "deploy"

_AROUND: Final = """
daemon off; master_process off; pid {here}/nginx.pid; error_log stderr notice;
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_body_temp_path {here}/body; proxy_temp_path {here}/proxy;
  fastcgi_temp_path {here}/fastcgi; uwsgi_temp_path {here}/uwsgi; scgi_temp_path {here}/scgi;
  include {here}/keystead.conf;
}}
"""


@contextmanager
def nginx(here: Path, port: int, server_port: int, certificate: Path) -> Iterator[None]:
    """Serve TLS on 127.0.0.1 at ``port`` for the block, before the server at ``server_port``."""
    one = {"server 127.0.0.1:8420;": f"server 127.0.0.1:{server_port};"}
    with _running(here, _placed("nginx.conf", port, certificate, one)):
        yield


@contextmanager
def balancing_nginx(
    here: Path, port: int, server_ports: tuple[int, int], certificate: Path, behind: str = ""
) -> Iterator[None]:
    """The same before two servers, with the configuration for several; ``behind`` is how they are asked otherwise."""
    each = {
        f"server 10.0.0.{host}:8420 ": f"server 127.0.0.1:{server_port} "
        for host, server_port in zip((11, 12), server_ports, strict=True)
    }
    otherwise = {"proxy_pass http://keystead;": behind} if behind else {}
    with _running(here, _placed("nginx-servers.conf", port, certificate, each | otherwise)):
        yield


@contextmanager
def plain_nginx(here: Path, port: int, upstream_port: int) -> Iterator[None]:
    """Pass on what comes to 127.0.0.1 at ``port``, for the block, with nginx's own checks and our size of headers."""
    place = "proxy_http_version 1.1; proxy_request_buffering off; proxy_buffering off;"
    with _running(
        here,
        f"large_client_header_buffers 4 64k; server {{ listen 127.0.0.1:{port};\n"
        f"location / {{ proxy_pass http://127.0.0.1:{upstream_port}; {place} }} }}\n",
    ):
        yield


@contextmanager
def _running(here: Path, configuration: str) -> Iterator[None]:
    (here / "keystead.conf").write_text(configuration)
    (here / "nginx.conf").write_text(_AROUND.format(here=here))
    command = ["nginx", "-e", "stderr", "-p", str(here), "-c", str(here / "nginx.conf")]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
    assert process.stderr is not None
    with process, process.stderr:
        said = ""
        for line in process.stderr:
            said += line
            if " OS: " in line:  # said once it listens
                break
        try:
            assert process.poll() is None, said
            yield
        finally:
            process.terminate()
            process.communicate()


def _placed(name: str, port: int, certificate: Path, servers: dict[str, str]) -> str:
    text = (DEPLOY / name).read_text(encoding="utf-8")
    places = {
        **servers,
        "listen 443 ": f"listen 127.0.0.1:{port} ",
        "server_name keystead.example.com;": "server_name 127.0.0.1;",
        "ssl_certificate /etc/ssl/keystead/fullchain.pem;": f"ssl_certificate {certificate};",
        "ssl_certificate_key /etc/ssl/keystead/privkey.pem;": f"ssl_certificate_key {certificate};",
    }
    for theirs, ours in places.items():
        assert text.count(theirs) == 1, theirs
        text = text.replace(theirs, ours)
    return text
