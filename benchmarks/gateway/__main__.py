"""Gateways side by side: `make bench-gateway`.

All run at once, each is loaded in turn, several rounds, so that a noisy minute hits all of them. The upstream and the
load share core 0, the gateway under load has core 1. CPU time is the gateway's own (with its children), read from
/proc: of all figures it is the one that other work on the machine moves least. Everything is on loopback and ends with
the run.
"""

import argparse
import contextlib
import json
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.gateway import measure
from benchmarks.gateway.subjects import MODEL, SUBJECTS, Subject

PATH = "/v1/messages"
QUESTION = {"model": MODEL, "max_tokens": 64, "messages": [{"role": "user", "content": "hello"}]}
SMALL = json.dumps(QUESTION, separators=(",", ":"))
STREAM = json.dumps({**QUESTION, "stream": True}, separators=(",", ":"))
START_SECONDS = 90


@dataclass(frozen=True)
class Running:
    """A gateway that answers."""

    subject: Subject
    pid: int
    port: int
    key: str


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


@contextlib.contextmanager
def process(
    command: list[str], log: Path, environment: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run ``command`` until the block ends; it and only it is stopped."""
    with log.open("wb") as output:
        running = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=environment, cwd=log.parent)
    try:
        yield running
    finally:
        running.terminate()
        try:
            running.wait(20)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()


def wait_until_it_answers(running: subprocess.Popen[bytes], port: int, key: str, log: Path) -> None:
    """Return when a small request is answered with 200; stop the run with the log's end when it never is."""
    end = time.monotonic() + START_SECONDS
    last = "no answer"
    while time.monotonic() < end and running.poll() is None:
        try:
            status, body = measure.answer(port, PATH, key, SMALL)
        except OSError:
            time.sleep(0.2)
            continue
        if status == 200:
            return
        last = f"{status} {body[:300]!r}"
        time.sleep(0.5)
    sys.exit(f"{log.stem} does not work: {last}\n{log.read_text(errors='replace')[-1500:]}")


@contextlib.contextmanager
def upstream(directory: Path) -> Iterator[int]:
    """Compile and run the fake Messages API."""
    program, port = directory / "upstream", free_port()
    subprocess.run(["cc", "-O2", "-o", str(program), str(Path(__file__).with_name("upstream.c"))], check=True)
    log = directory / "upstream.log"
    with process(measure.pinned(measure.LOAD_CORE, [str(program), str(port)]), log) as running:
        wait_until_it_answers(running, port, "", log)
        yield port


@contextlib.contextmanager
def gateway(subject: Subject, directory: Path, upstream_port: int) -> Iterator[Running]:
    """Start one subject and wait until it answers."""
    own = directory / subject.name.lower()
    own.mkdir()
    port = free_port()
    started = subject.start(own, port, upstream_port)
    command = measure.pinned(measure.GATEWAY_CORE, started.command)
    environment = started.environment or None
    with process(command, own / f"{subject.name}.log", environment) as running:
        wait_until_it_answers(running, port, started.key, own / f"{subject.name}.log")
        yield Running(subject, running.pid, port, started.key)


Figures = dict[str, dict[str, list[float]]]


def small_requests(one: Running, seconds: int, figures: Figures) -> None:
    """64 connections as fast as it goes: CPU per request and the rate."""
    measure.load(one.port, PATH, one.key, SMALL, connections=64, seconds=1)
    before = measure.cpu_seconds(one.pid)
    done = measure.load(one.port, PATH, one.key, SMALL, connections=64, seconds=seconds)
    cost = measure.cpu_seconds(one.pid) - before
    rows = figures[one.subject.name]
    rows["cpu_request"].append(cost / max(done.requests, 1) * 1e6)
    rows["rate"].append(done.requests / done.seconds)
    rows["failed"].append(done.failed)


def streams(one: Running, upstream_port: int, seconds: int, figures: Figures) -> None:
    """Many paced streams, 50 chunks a second each: CPU per chunk."""
    sent = json.loads(measure.answer(upstream_port, "/stats", "", None)[1])["chunks"]
    before = measure.cpu_seconds(one.pid)
    done = measure.load(one.port, PATH, one.key, STREAM, connections=one.subject.streams, seconds=seconds)
    cost = measure.cpu_seconds(one.pid) - before
    sent = json.loads(measure.answer(upstream_port, "/stats", "", None)[1])["chunks"] - sent
    figures[one.subject.name]["cpu_chunk"].append(cost / max(sent, 1) * 1e6)
    figures[one.subject.name]["failed"].append(done.failed)


def latency(one: Running, upstream_port: int, figures: Figures) -> None:
    """What the gateway adds to one request after another, against the upstream asked directly just before."""
    direct = measure.median_latency_ms(upstream_port, PATH, "", SMALL, requests=200)
    through = measure.median_latency_ms(one.port, PATH, one.key, SMALL, requests=200)
    figures[one.subject.name]["added"].append(through - direct)


def print_table(subjects: list[Subject], figures: Figures) -> None:
    """Medians, as a table for docs/performance.md."""
    middle = {
        name: {what: statistics.median(values) for what, values in rows.items()} for name, rows in figures.items()
    }
    base = middle.get("nginx", {})
    print("\n| gateway, one core | does | req/s | CPU µs/req | x nginx | CPU µs/chunk | x nginx | added p50 | memory |")
    print("|---|---|---:|---:|---:|---:|---:|---:|---:|")
    for subject in subjects:
        row = middle[subject.name]
        requests = row["cpu_request"] / base["cpu_request"] if base else float("nan")
        chunks = row["cpu_chunk"] / base["cpu_chunk"] if base else float("nan")
        print(
            f"| {subject.name} | {subject.does} | {row['rate']:,.0f} | {row['cpu_request']:,.1f} | {requests:,.2f} "
            f"| {row['cpu_chunk']:,.1f} | {chunks:,.2f} | {row['added']:,.2f} ms | {row['memory']:,.0f} MB |"
        )
    for name, rows in figures.items():
        if failed := sum(rows["failed"]):
            print(f"\n{name}: {failed:,.0f} requests FAILED; its figures do not count.")


def main() -> None:
    """Parse the arguments, run the rounds, print the table."""
    parser = argparse.ArgumentParser(prog="benchmarks.gateway", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=4, help="of each measurement")
    parser.add_argument("--only", nargs="+", help="names of the rows to run")
    options = parser.parse_args()
    subjects = [one for one in SUBJECTS if not options.only or one.name in options.only]
    figures: Figures = defaultdict(lambda: defaultdict(list))
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        upstream_port = stack.enter_context(upstream(Path(name)))
        running = [stack.enter_context(gateway(one, Path(name), upstream_port)) for one in subjects]
        for number in range(options.rounds):
            for one in running:
                print(f"round {number + 1} of {options.rounds}: {one.subject.name}", file=sys.stderr, flush=True)
                latency(one, upstream_port, figures)
                small_requests(one, options.seconds, figures)
                streams(one, upstream_port, options.seconds + 4, figures)
                figures[one.subject.name]["memory"].append(measure.memory_mb(one.pid))
    print_table(subjects, figures)


if __name__ == "__main__":
    main()
