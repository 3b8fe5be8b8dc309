"""Reading what a process tree costs, and putting load on an address."""

import contextlib
import http.client
import json
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

LOAD_CORE, GATEWAY_CORE = "0", "1"
_TICKS = os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    """Return a port of loopback that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def pinned(core: str, command: list[str]) -> list[str]:
    """``command`` bound to one core, when the machine has two."""
    return ["taskset", "--cpu-list", core, *command] if (os.cpu_count() or 1) > 1 else command


def family(pid: int) -> Iterator[int]:
    """``pid`` and everything it started."""
    yield pid
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            yield from family(int(child))


def cpu_seconds(pid: int) -> float:
    """User and system time of the tree, ended children included."""
    total = 0
    for each in family(pid):
        fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
        total += sum(int(value) for value in fields[11:15])
    return total / _TICKS


def memory_mb(pid: int) -> float:
    """Proportional set size of the tree: shared pages are counted once."""
    total = 0
    for each in family(pid):
        lines = Path(f"/proc/{each}/smaps_rollup").read_text().splitlines()
        total += next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total / 1024


@dataclass(frozen=True)
class Load:
    """What wrk did: requests answered, in how many seconds, and how many failed."""

    requests: int
    seconds: float
    failed: int


def load(port: int, path: str, key: str, body: str, *, connections: int, seconds: int) -> Load:
    """Put ``connections`` to work for ``seconds``."""
    with loading(port, path, key, body, connections=connections, seconds=seconds) as running:
        said, _ = running.communicate()
    report = next(line for line in said.splitlines() if line.startswith("RESULT "))
    return Load(**json.loads(report.removeprefix("RESULT ")))


@contextlib.contextmanager
def loading(
    port: int, path: str, key: str, body: str, *, connections: int, seconds: int
) -> Iterator[subprocess.Popen[str]]:
    """Run wrk during the block; it ends with it at the latest."""
    script = Path(__file__).with_name("load.lua")
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "60s", "-s", str(script)]
    with tempfile.NamedTemporaryFile("w") as file:
        file.write(body)
        file.flush()
        running = subprocess.Popen(
            pinned(LOAD_CORE, [*command, f"http://127.0.0.1:{port}{path}"]),
            env={"PATH": os.defpath, "BENCH_KEY": key, "BENCH_BODY": file.name},
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            yield running
        finally:
            running.terminate()
            running.wait()


def latencies_ms(port: int, path: str, key: str, body: str, *, requests: int) -> list[float]:
    """One connection, one request after the other; the time until each answer is complete, the shortest first."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    headers = {"content-type": "application/json", "anthropic-version": "2023-06-01", "x-api-key": key}
    times = []
    for _ in range(requests):
        before = time.perf_counter()
        connection.request("POST", path, body, headers)
        connection.getresponse().read()
        times.append(time.perf_counter() - before)
    connection.close()
    return sorted(one * 1000 for one in times)


def answer(port: int, path: str, key: str, body: str | None) -> tuple[int, bytes]:
    """One request; status and body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    headers = {"content-type": "application/json", "anthropic-version": "2023-06-01", "x-api-key": key}
    connection.request("GET" if body is None else "POST", path, body, headers)
    response = connection.getresponse()
    try:
        return response.status, response.read()
    finally:
        connection.close()
