"""The token endpoint of Keystead beside npm ``oidc-provider``: refresh grant and client credentials.

Each is one process on one core; the load comes from the other core, over connections that stay open, each with a
sign-in of its own whose refresh token rotates with every request. Both sign with ES256. They take turns, so that what
else the machine does meets both. What they do differs in one thing that counts: Keystead has written every rotation
to disk (SQLite, synchronous=FULL) before it answers, ``oidc-provider`` keeps its in-memory store.
"""

import argparse
import base64
import contextlib
import http.client
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.gateway.measure import GATEWAY_CORE, LOAD_CORE, pinned

ROOT = Path(__file__).resolve().parents[2]
PEERS = ROOT / "tests" / "peers"
FORM = {"content-type": "application/x-www-form-urlencoded"}


@dataclass
class Endpoint:
    """One token endpoint under load."""

    name: str
    port: int
    path: str
    public_client: str
    client_id: str
    client_secret: str
    refresh_tokens: list[str]
    rates: dict[str, list[float]] = field(default_factory=dict)
    times: dict[str, list[float]] = field(default_factory=dict)

    def measure(self, grant: str, seconds: float) -> None:
        """Keep every connection busy for ``seconds`` and note what came of it."""
        times: list[list[float]] = [[] for _ in self.refresh_tokens]
        until = time.perf_counter() + seconds
        threads = [
            threading.Thread(target=self._ask, args=(grant, number, until, times[number]))
            for number in range(len(self.refresh_tokens))
        ]
        started = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        every = [one for each in times for one in each]
        self.rates.setdefault(grant, []).append(len(every) / (time.perf_counter() - started))
        self.times.setdefault(grant, []).extend(every)

    def _ask(self, grant: str, number: int, until: float, times: list[float]) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        basic = base64.b64encode(f"{self.client_id}:{self.client_secret}".encode()).decode()
        while time.perf_counter() < until:
            if grant == "refresh_token":
                headers, form = FORM, {"client_id": self.public_client, "refresh_token": self.refresh_tokens[number]}
            else:
                headers, form = {**FORM, "authorization": f"Basic {basic}"}, {"scope": "models:use"}
            before = time.perf_counter()
            connection.request("POST", self.path, urllib.parse.urlencode({"grant_type": grant, **form}), headers)
            answer = connection.getresponse()
            said = json.loads(answer.read())
            times.append(time.perf_counter() - before)
            assert answer.status == 200, said
            if grant == "refresh_token":
                self.refresh_tokens[number] = said["refresh_token"]
        connection.close()


@contextlib.contextmanager
def keystead(connections: int) -> Iterator[Endpoint]:
    """Start ours on a fresh installation."""
    with tempfile.TemporaryDirectory() as home:
        variables = {
            "HOME": home,
            "PATH": os.defpath,
            "PYTHONPATH": str(ROOT),
            "KEYSTEAD_SERVER_PORT": "0",
            "KEYSTEAD_SERVER_DATA_DIR": f"{home}/server",
        }
        seed = [sys.executable, "-m", "benchmarks.tokens.seed", str(connections)]
        seeded = json.loads(subprocess.run(seed, env=variables, check=True, capture_output=True, cwd=ROOT).stdout)
        run = pinned(GATEWAY_CORE, [str(Path(sys.executable).with_name("keystead")), "server", "run"])
        with subprocess.Popen(run, env=variables, stdout=subprocess.PIPE, text=True, cwd=home) as process:
            try:
                assert process.stdout is not None
                line = next(line for line in process.stdout if "Console" in line)
                port = urllib.parse.urlsplit(line.split()[-1]).port
                assert port is not None
                yield Endpoint("keystead", port, "/oauth/token", "keystead-cli", **seeded)
            finally:
                process.terminate()


@contextlib.contextmanager
def oidc_provider(connections: int) -> Iterator[Endpoint]:
    """Start the other."""
    run = pinned(GATEWAY_CORE, ["node", str(PEERS / "oidc_tokens.mjs")])
    environment = {"PATH": os.environ["PATH"], "NODE_ENV": "production"}
    with subprocess.Popen(run, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(json.dumps({"count": connections}))
            process.stdin.close()
            told = json.loads(process.stdout.readline())
            port = urllib.parse.urlsplit(told.pop("issuer")).port
            assert port is not None
            yield Endpoint("oidc-provider", port, "/token", "public", **told)
        finally:
            process.terminate()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tokens", description=__doc__)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    if hasattr(os, "sched_setaffinity") and (os.cpu_count() or 1) > 1:
        os.sched_setaffinity(0, {int(LOAD_CORE)})
    with keystead(chosen.connections) as ours, oidc_provider(chosen.connections) as theirs:
        grants = ("refresh_token", "client_credentials")
        for endpoint in (ours, theirs):
            for grant in grants:
                endpoint.measure(grant, 1.0)
            endpoint.rates.clear()
            endpoint.times.clear()
        for _ in range(chosen.rounds):
            for grant in grants:
                for endpoint in (ours, theirs):
                    endpoint.measure(grant, chosen.seconds)
        print(f"{'grant':20} {'server':15} {'requests/s':>11} {'p50 ms':>8} {'p99 ms':>8} {'ratio':>7}")
        for grant in grants:
            base = statistics.median(theirs.rates[grant])
            for endpoint in (ours, theirs):
                rate, times = statistics.median(endpoint.rates[grant]), sorted(endpoint.times[grant])
                p50, p99 = (1000 * times[int(len(times) * part)] for part in (0.5, 0.99))
                print(f"{grant:20} {endpoint.name:15} {rate:11.0f} {p50:8.1f} {p99:8.1f} {rate / base:6.2f}x")


if __name__ == "__main__":
    main()
