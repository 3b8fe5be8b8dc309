"""Gateways side by side: `make bench-gateway`.

Four tables: small requests and streams; large bodies and many streams at once; the upstream behind TLS; and what a
million keys cost. All
gateways run at once, each is loaded in turn, several rounds, so that a noisy minute hits all of them. The upstream and
the load share core 0, the gateway under load has core 1. CPU time is the gateway's own (with its children), read from
/proc: of all figures it is the one that other work on the machine moves least. Everything is on loopback and ends with
the run.
"""

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.gateway import conversation, measure, others, tls_end
from benchmarks.gateway.subjects import MODEL, SUBJECTS, Place, Subject, with_keys

PATH = "/v1/messages"
QUESTION = {"model": MODEL, "max_tokens": 64, "messages": [{"role": "user", "content": "hello"}]}
SMALL = json.dumps(QUESTION, separators=(",", ":"))
STREAM = json.dumps({**QUESTION, "stream": True}, separators=(",", ":"))
SLOW = json.dumps({**QUESTION, "stream": True, "top_k": 1}, separators=(",", ":"))
LARGE = conversation.body(MODEL, turns=75)
"""A conversation of an agent of 200 KB: tools with their schemas, calls, and what they gave back."""
START_SECONDS = 180


@dataclass(frozen=True)
class Running:
    """A gateway that answers."""

    subject: Subject
    pid: int
    port: int
    key: str


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
    program, port = directory / "upstream", measure.free_port()
    subprocess.run(["cc", "-O2", "-o", str(program), str(Path(__file__).with_name("upstream.c"))], check=True)
    log = directory / "upstream.log"
    with process(measure.pinned(measure.LOAD_CORE, [str(program), str(port)]), log) as running:
        wait_until_it_answers(running, port, "", log)
        yield port


@contextlib.contextmanager
def gateway(subject: Subject, directory: Path, upstream: Place) -> Iterator[Running]:
    """Start one subject and wait until it answers."""
    own = directory / subject.name.lower().replace(" ", "-")
    own.mkdir()
    port = measure.free_port()
    started = subject.start(own, port, upstream)
    command = measure.pinned(measure.GATEWAY_CORE, started.command)
    environment = started.environment or None
    with process(command, own / f"{subject.name}.log", environment) as running:
        wait_until_it_answers(running, port, started.key, own / f"{subject.name}.log")
        yield Running(subject, running.pid, port, started.key)


Figures = dict[str, dict[str, list[float]]]


def requests(one: Running, body: str, seconds: int, figures: Figures, name: str) -> None:
    """64 connections as fast as it goes: CPU per request, in microseconds, and the rate."""
    measure.load(one.port, PATH, one.key, body, connections=64, seconds=1)
    before = measure.cpu_seconds(one.pid)
    done = measure.load(one.port, PATH, one.key, body, connections=64, seconds=seconds)
    cost = measure.cpu_seconds(one.pid) - before
    rows = figures[one.subject.name]
    rows[f"cpu_{name}"].append(cost / max(done.requests, 1) * 1e6)
    rows[f"rate_{name}"].append(done.requests / done.seconds)
    rows["failed"].append(done.failed)


def stats(upstream_port: int) -> dict[str, int]:
    """What the upstream has sent so far."""
    found: dict[str, int] = json.loads(measure.answer(upstream_port, "/stats", "", None)[1])
    return found


def streams(one: Running, upstream_port: int, seconds: int, figures: Figures) -> None:
    """Many paced streams, 50 chunks a second each: CPU per chunk."""
    sent = stats(upstream_port)["chunks"]
    before = measure.cpu_seconds(one.pid)
    done = measure.load(one.port, PATH, one.key, STREAM, connections=one.subject.streams, seconds=seconds)
    cost = measure.cpu_seconds(one.pid) - before
    sent = stats(upstream_port)["chunks"] - sent
    figures[one.subject.name]["cpu_chunk"].append(cost / max(sent, 1) * 1e6)
    figures[one.subject.name]["failed"].append(done.failed)


def latency(one: Running, upstream_port: int, figures: Figures) -> None:
    """What the gateway adds to one request after another, against the upstream asked directly just before."""
    direct = measure.latencies_ms(upstream_port, PATH, "", SMALL, requests=200)
    through = measure.latencies_ms(one.port, PATH, one.key, SMALL, requests=200)
    figures[one.subject.name]["added"].append(statistics.median(through) - statistics.median(direct))


def hold(one: Running, upstream_port: int, count: int, figures: Figures) -> None:
    """Hold many streams open, a chunk a second each: memory per stream, and how long others wait meanwhile."""
    rows, begun = figures[one.subject.name], stats(upstream_port)["answers"]
    empty = measure.memory_mb(one.pid)
    with measure.loading(one.port, PATH, one.key, SLOW, connections=count, seconds=90):
        end = time.monotonic() + 45
        while (opened := stats(upstream_port)["answers"] - begun) < count and time.monotonic() < end:
            time.sleep(0.5)
        sent, since = stats(upstream_port)["chunks"], time.monotonic()
        waits = measure.latencies_ms(one.port, PATH, one.key, SMALL, requests=300)
        time.sleep(max(0.0, since + 5 - time.monotonic()))
        rows["open"].append(opened)
        rows["chunks"].append((stats(upstream_port)["chunks"] - sent) / (time.monotonic() - since))
        rows["stream_kb"].append((measure.memory_mb(one.pid) - empty) * 1024 / max(opened, 1))
        rows["wait"].append(statistics.median(waits))
        rows["wait_99"].append(waits[int(len(waits) * 0.99)])


def print_tables(subjects: list[Subject], figures: Figures, wanted: int) -> None:
    """Medians, as tables for docs/performance.md."""
    middle = {
        name: {what: statistics.median(values) for what, values in rows.items()} for name, rows in figures.items()
    }
    nan = float("nan")
    base = middle.get("nginx", {"cpu_request": nan, "cpu_chunk": nan, "cpu_large": nan})
    print("\n| gateway, one core | does | req/s | CPU µs/req | x nginx | CPU µs/chunk | x nginx | added p50 | memory |")
    print("|---|---|---:|---:|---:|---:|---:|---:|---:|")
    for subject in subjects:
        row = middle[subject.name]
        print(
            f"| {subject.name} | {subject.does} | {row['rate_request']:,.0f} | {row['cpu_request']:,.1f} "
            f"| {row['cpu_request'] / base['cpu_request']:,.2f} | {row['cpu_chunk']:,.1f} "
            f"| {row['cpu_chunk'] / base['cpu_chunk']:,.2f} | {row['added']:,.2f} ms | {row['memory']:,.0f} MB |"
        )
    size = f"{len(LARGE) // 1000} KB body"
    print(f"\n| gateway | CPU µs, {size} | x nginx | streams held | chunks/s | KB/stream | others wait p50, p99 |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for subject in subjects:
        row = middle[subject.name]
        held = (
            f"{row['open']:,.0f} of {wanted:,} | {row['chunks']:,.0f} | {row['stream_kb']:,.1f} "
            f"| {row['wait']:,.1f}, {row['wait_99']:,.1f} ms"
            if "open" in row
            else " | | | "
        )
        print(f"| {subject.name} | {row['cpu_large']:,.0f} | {row['cpu_large'] / base['cpu_large']:,.2f} | {held} |")
    print_failures(figures)


def compare(directory: Path, upstream_port: int, subjects: list[Subject], options: argparse.Namespace) -> None:
    """Run the gateways side by side and print their tables."""
    figures: Figures = defaultdict(lambda: defaultdict(list))
    with contextlib.ExitStack() as stack:
        running = [stack.enter_context(gateway(one, directory, Place(upstream_port))) for one in subjects]
        for number in range(options.rounds):
            for one in running:
                print(f"round {number + 1} of {options.rounds}: {one.subject.name}", file=sys.stderr, flush=True)
                latency(one, upstream_port, figures)
                requests(one, SMALL, options.seconds, figures, "request")
                requests(one, LARGE, options.seconds, figures, "large")
                streams(one, upstream_port, options.seconds + 4, figures)
                figures[one.subject.name]["memory"].append(measure.memory_mb(one.pid))
        for one in running:
            if options.streams and one.subject.holds:
                print(f"{options.streams} streams: {one.subject.name}", file=sys.stderr, flush=True)
                hold(one, upstream_port, options.streams, figures)
    print_tables(subjects, figures, options.streams)


def compare_keys(directory: Path, upstream_port: int, options: argparse.Namespace) -> None:
    """Run Keystead with few keys and with many, and print what one request costs in each."""
    figures: Figures = defaultdict(lambda: defaultdict(list))
    subjects = [with_keys(number) for number in options.keys]
    with contextlib.ExitStack() as stack:
        running = [stack.enter_context(gateway(one, directory, Place(upstream_port))) for one in subjects]
        for number in range(options.rounds):
            for one in running:
                print(f"round {number + 1} of {options.rounds}: {one.subject.name}", file=sys.stderr, flush=True)
                requests(one, SMALL, options.seconds, figures, "request")
                figures[one.subject.name]["memory"].append(measure.memory_mb(one.pid))
    print("\n| Keystead with | CPU µs/req | x the first | memory |\n|---|---:|---:|---:|")
    first = statistics.median(figures[subjects[0].name]["cpu_request"])
    for subject in subjects:
        cost, memory = (statistics.median(figures[subject.name][what]) for what in ("cpu_request", "memory"))
        print(f"| {subject.name} | {cost:,.1f} | {cost / first:.2f} | {memory:,.0f} MB |")


def compare_tls(directory: Path, upstream_port: int, subjects: list[Subject], options: argparse.Namespace) -> None:
    """Run the gateways before an upstream behind TLS, and print what a request and a chunk cost then."""
    figures: Figures = defaultdict(lambda: defaultdict(list))
    authority, port = tls_end.certificate(directory), measure.free_port()
    end = measure.pinned(measure.LOAD_CORE, tls_end.command(directory, authority, port, upstream_port))
    with contextlib.ExitStack() as stack:
        stack.enter_context(process(end, directory / "tls-end.log"))
        place = Place(port, authority)
        running = [stack.enter_context(gateway(one, directory, place)) for one in subjects]
        for number in range(options.rounds):
            for one in running:
                print(f"TLS, round {number + 1} of {options.rounds}: {one.subject.name}", file=sys.stderr, flush=True)
                requests(one, SMALL, options.seconds, figures, "request")
                requests(one, LARGE, options.seconds, figures, "large")
                streams(one, upstream_port, options.seconds + 4, figures)
    print_costs("the upstream behind TLS", subjects, figures)


def print_costs(title: str, subjects: list[Subject], figures: Figures) -> None:
    """Medians of what each kind of work costs, with ratios to the first row."""
    print(f"\n| {title} | CPU µs/req | x | CPU µs, large body | x | CPU µs/chunk | x |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    kinds = ("cpu_request", "cpu_large", "cpu_chunk")
    first = {kind: statistics.median(figures[subjects[0].name][kind]) for kind in kinds}
    for subject in subjects:
        cells = [(statistics.median(figures[subject.name][kind]), first[kind]) for kind in kinds]
        print(f"| {subject.name} | " + " | ".join(f"{cost:,.1f} | {cost / base:,.2f}" for cost, base in cells) + " |")
    print_failures(figures)


def print_failures(figures: Figures) -> None:
    """Name the rows that do not count."""
    for name, rows in figures.items():
        if failed := sum(rows["failed"]):
            print(f"\n{name}: {failed:,.0f} requests FAILED; its figures do not count.")


def main() -> None:
    """Parse the arguments, run the rounds, print the tables."""
    parser = argparse.ArgumentParser(prog="benchmarks.gateway", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=4, help="of each measurement")
    parser.add_argument("--only", nargs="+", help="names of the rows to run")
    parser.add_argument("--streams", type=int, default=5000, help="to hold open at once; 0 for none")
    parser.add_argument("--keys", type=int, nargs="*", default=[10_000, 1_000_000], help="how many to compare")
    parser.add_argument("--no-tls", action="store_true", help="leave the upstream behind TLS out")
    options = parser.parse_args()
    known = [*SUBJECTS, *others.installed()]
    subjects = [one for one in known if not options.only or one.name in options.only]
    with tempfile.TemporaryDirectory() as name, upstream(Path(name)) as upstream_port:
        if subjects:
            compare(Path(name), upstream_port, subjects, options)
        encrypted = [one for one in subjects if one.tls]
        if encrypted and not options.no_tls:
            (Path(name) / "tls").mkdir()
            compare_tls(Path(name) / "tls", upstream_port, encrypted, options)
        if options.keys:
            compare_keys(Path(name), upstream_port, options)


if __name__ == "__main__":
    main()
