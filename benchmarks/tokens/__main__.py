"""The token endpoint of Keystead beside npm ``oidc-provider``: refresh, client credentials, and a signed JWT.

Each is one process on one core; the load (``load.c``) comes from the other core, over connections that stay open. They
take turns, so that what else the machine does meets both. CPU time is the server's own, read from /proc: of all figures
it is the one that other work on the machine moves least. Both sign with ES256. What they do differs in two things:

- Keystead has written every rotation, sign-in and spent JWT to disk (SQLite, synchronous=FULL) before it answers;
  ``oidc-provider`` keeps its in-memory store.
- ``oidc-provider`` has no JWT bearer grant (RFC 7523 section 2.1). Beside it stands the nearest that it has, a client
  that authenticates by a signed JWT (section 2.2): both verify a foreign signature, spend the ``jti``, and sign.
"""

import argparse
import base64
import contextlib
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.gateway.measure import GATEWAY_CORE, LOAD_CORE, cpu_seconds, pinned
from joserfc import jwt
from joserfc.jwk import ECKey

ROOT = Path(__file__).resolve().parents[2]
PEERS = ROOT / "tests" / "peers"
PLATFORM = "https://builds.example.com"
MOST_A_SECOND = 5_000
"""JWTs that are signed beforehand for each second; a server that takes more ends its turn early."""


@dataclass(frozen=True)
class Grant:
    """One kind of request.

    Attributes:
        authorization: the header, or empty.
        form: what each request begins with.
        name: of the parameter that differs between requests, or empty when they are all the same.
        keeping: what becomes of its value once answered, as ``load.c`` has it.
        supply: returns values for so many seconds.
    """

    authorization: str
    form: dict[str, str]
    name: str
    keeping: str
    supply: Callable[[float], list[str]]

    @property
    def beginning(self) -> str:
        return urllib.parse.urlencode(self.form) + (f"&{self.name}=" if self.name else "")


@dataclass
class Endpoint:
    """One token endpoint under load, and what came of it."""

    name: str
    pid: int
    port: int
    path: str
    grants: dict[str, Grant]
    rates: dict[str, list[float]] = field(default_factory=dict)
    costs: dict[str, list[float]] = field(default_factory=dict)
    times: dict[str, list[int]] = field(default_factory=dict)

    def measure(self, load: Path, grant: str, connections: int, seconds: float) -> None:
        """Keep every connection busy for ``seconds``."""
        one = self.grants[grant]
        told = "\n".join([self.path, one.authorization, one.beginning, *one.supply(seconds)]) + "\n"
        command = [str(load), str(self.port), str(seconds), str(connections), one.keeping]
        before = cpu_seconds(self.pid)
        done = subprocess.run(pinned(LOAD_CORE, command), input=told, capture_output=True, text=True, check=True)
        cost, said = cpu_seconds(self.pid) - before, json.loads(done.stdout)
        assert not said["failed"], said["complaint"]
        if one.keeping == "rotate":
            self.grants[grant] = Grant(one.authorization, one.form, one.name, one.keeping, lambda _: said["endings"])
        self.rates.setdefault(grant, []).append(len(said["times"]) / said["seconds"])
        self.costs.setdefault(grant, []).append(1e6 * cost / len(said["times"]))
        self.times.setdefault(grant, []).extend(said["times"])


class Platform:
    """Who signs the JWTs, each with a ``jti`` of its own."""

    def __init__(self) -> None:
        self._key = ECKey.generate_key("P-256")
        self._numbers = itertools.count()

    @property
    def public_key(self) -> dict[str, Any]:
        return {**self._key.as_dict(private=False), "kid": "platform", "use": "sig", "alg": "ES256"}

    def signs(self, issuer: str, subject: str, audience: str) -> Callable[[float], list[str]]:
        """Return what signs JWTs that say so, enough for so many seconds."""
        header = {"alg": "ES256", "kid": "platform"}

        def one() -> str:
            now = int(time.time())
            who = {"iss": issuer, "sub": subject, "aud": audience}
            return jwt.encode(header, {**who, "iat": now, "exp": now + 600, "jti": str(next(self._numbers))}, self._key)

        return lambda seconds: [one() for _ in range(int(seconds * MOST_A_SECOND))]


def refreshing(client: str, tokens: list[str]) -> Grant:
    form = {"grant_type": "refresh_token", "client_id": client}
    return Grant("", form, "refresh_token", "rotate", lambda _: tokens)


def in_its_own_name(client_id: str, client_secret: str, connections: int) -> Grant:
    basic = "Basic " + base64.b64encode(f"{client_id}:{client_secret}".encode()).decode()
    form = {"grant_type": "client_credentials", "scope": "models:use"}
    return Grant(basic, form, "", "repeat", lambda _: [""] * connections)


@contextlib.contextmanager
def keystead(connections: int, platform: Platform) -> Iterator[Endpoint]:
    """Start ours on a fresh installation."""
    with tempfile.TemporaryDirectory() as home:
        variables = {
            "HOME": home,
            "PATH": os.defpath,
            "PYTHONPATH": str(ROOT),
            "KEYSTEAD_SERVER_PORT": "0",
            "KEYSTEAD_SERVER_DATA_DIR": f"{home}/server",
        }
        told = json.dumps({"count": connections, "issuer": PLATFORM, "key": platform.public_key})
        seed = [sys.executable, "-m", "benchmarks.tokens.seed"]
        done = subprocess.run(seed, env=variables, check=True, input=told, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        made = json.loads(done.stdout)
        run = pinned(GATEWAY_CORE, [str(Path(sys.executable).with_name("keystead")), "server", "run"])
        with subprocess.Popen(run, env=variables, stdout=subprocess.PIPE, text=True, cwd=home) as process:
            try:
                assert process.stdout is not None
                line = next(line for line in process.stdout if "Console" in line)
                port = urllib.parse.urlsplit(line.split()[-1]).port
                assert port is not None
                form = {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", **made["workload"]}
                signed = platform.signs(PLATFORM, "repo:acme/app:ref:refs/heads/main", made["audience"])
                grants = {
                    "refresh token": refreshing("keystead-cli", made["refresh_tokens"]),
                    "client credentials": in_its_own_name(made["client_id"], made["client_secret"], connections),
                    "signed JWT": Grant("", form, "assertion", "once", signed),
                }
                yield Endpoint("Keystead", process.pid, port, "/oauth/token", grants)
            finally:
                process.terminate()


@contextlib.contextmanager
def oidc_provider(connections: int, platform: Platform) -> Iterator[Endpoint]:
    """Start the other."""
    run = pinned(GATEWAY_CORE, ["node", str(PEERS / "oidc_tokens.mjs")])
    environment = {"PATH": os.environ["PATH"], "NODE_ENV": "production"}
    with subprocess.Popen(run, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(json.dumps({"count": connections, "key": platform.public_key}))
            process.stdin.close()
            made = json.loads(process.stdout.readline())
            port = urllib.parse.urlsplit(made["issuer"]).port
            assert port is not None
            form = {
                "grant_type": "client_credentials",
                "scope": "models:use",
                "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            }
            signed = platform.signs("workload", "workload", made["issuer"])
            grants = {
                "refresh token": refreshing("public", made["refresh_tokens"]),
                "client credentials": in_its_own_name(made["client_id"], made["client_secret"], connections),
                "signed JWT": Grant("", form, "client_assertion", "once", signed),
            }
            yield Endpoint("oidc-provider", process.pid, port, "/token", grants)
        finally:
            process.terminate()


def print_table(ours: Endpoint, theirs: Endpoint) -> None:
    """Medians, as a table for docs/performance.md."""
    print("| grant | server | requests/s | p50 | p99 | CPU for each | ratio |")
    print("|---|---|---:|---:|---:|---:|---:|")
    for grant in theirs.grants:
        base = statistics.median(theirs.rates[grant])
        for endpoint in (ours, theirs):
            rate, times = statistics.median(endpoint.rates[grant]), sorted(endpoint.times[grant])
            p50, p99 = (times[int(len(times) * part)] / 1000 for part in (0.5, 0.99))
            cost = statistics.median(endpoint.costs[grant])
            print(
                f"| {grant} | {endpoint.name} | {rate:,.0f} | {p50:.1f} ms | {p99:.1f} ms | {cost:,.0f} µs "
                f"| {rate / base:.2f} |"
            )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tokens", description=__doc__)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    platform = Platform()
    with (
        tempfile.TemporaryDirectory() as directory,
        keystead(chosen.connections, platform) as ours,
        oidc_provider(chosen.connections, platform) as theirs,
    ):
        load = Path(directory, "load")
        subprocess.run(["cc", "-O2", "-o", str(load), str(Path(__file__).with_name("load.c"))], check=True)
        for endpoint in (ours, theirs):
            for grant in endpoint.grants:
                endpoint.measure(load, grant, chosen.connections, 1.0)
            for measured in (endpoint.rates, endpoint.costs, endpoint.times):
                measured.clear()
        for _ in range(chosen.rounds):
            for grant in theirs.grants:
                for endpoint in (ours, theirs):
                    endpoint.measure(load, grant, chosen.connections, chosen.seconds)
        print_table(ours, theirs)


if __name__ == "__main__":
    main()
