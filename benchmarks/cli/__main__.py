"""What finding, showing and renewing a credential costs on the client: `make bench-cli`.

Every program in turn, many times over, and in each round `resolve()` in a process of its own; then processes that all
find one sign-in expired. CPU time is user and system time of the process with its children, as the kernel counted it;
the wall clock is printed only for orientation. Everything is on loopback and ends with the run.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.cli import crowd
from benchmarks.cli.goals import GH, GOALS
from benchmarks.cli.programs import Program, programs

ROOT = Path(__file__).parents[2]
RESOLVING = "resolve() in process"
MOST_PROCESSES = 500


def main() -> None:
    """Measure, and print the figures and which goals they reach."""
    parser = argparse.ArgumentParser(prog="benchmarks.cli", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=40, help="of each program")
    parser.add_argument(
        "--processes", type=int, default=50, help=f"that find a login expired, at most {MOST_PROCESSES}"
    )
    parser.add_argument("--latency", type=float, default=0.5, help="seconds that the token endpoint takes")
    parser.add_argument("--crowds", type=int, default=3, help="how often they do")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        figures = alone(programs(Path(name)), options.runs)
    figures |= together(min(options.processes, MOST_PROCESSES), options.latency, options.crowds)
    print("\n| goal | at most | measured | |\n|---|---:|---:|---|")
    print("\n".join(goal.line(figures) for goal in GOALS))


def alone(rows: list[Program], runs: int) -> dict[str, float]:
    """Run the programs in turn, print medians and return them by name; those of CPU also as multiples of gh."""
    session = next(row.home for row in rows if row.name == "keystead status")
    times: dict[str, list[tuple[float, float]]] = {row.name: [] for row in rows}
    resolving = []
    for row in rows:
        row.run()
    for turn in range(runs):
        for row in rows:
            times[row.name].append(row.run())
        if turn % 4 == 0:
            resolving.append(resolve(session))
    middle = {row: [statistics.median(column) for column in zip(*taken, strict=True)] for row, taken in times.items()}
    base = middle.get(GH, [float("nan")])[0]
    print("| command | CPU ms | x gh | wall ms |\n|---|---:|---:|---:|")
    for name, (cpu, wall) in middle.items():
        print(f"| {name} | {cpu:.1f} | {cpu / base:.2f} | {wall:.1f} |")
    figures = {name: cpu for name, (cpu, _) in middle.items()}
    if GH in figures:
        figures |= {f"{name}, x gh": cpu / base for name, cpu in figures.items()}
    figures[RESOLVING] = statistics.median(resolving)
    print(f"\n| in process | CPU µs |\n|---|---:|\n| {RESOLVING}, signed in | {figures[RESOLVING]:.0f} |")
    return figures


def resolve(home: Path) -> float:
    """Return microseconds of one decision in a new process, after the first."""
    environment = {"HOME": str(home), "PATH": os.defpath, "PYTHONPATH": str(ROOT)}
    command = (sys.executable, "-m", "benchmarks.cli.resolving")
    done = subprocess.run(command, env=environment, cwd=home, capture_output=True, text=True, check=True)
    return float(done.stdout)


def together(processes: int, latency: float, times: int) -> dict[str, float]:
    """Let one process renew, then many at once, in turn; print both and return the medians."""
    one: list[crowd.Crowd] = []
    many: list[crowd.Crowd] = []
    for _ in range(times):
        for taken, count in ((one, 1), (many, processes)):
            with tempfile.TemporaryDirectory() as name:
                taken.append(crowd.run(Path(name), count, latency))
    print("\n| expired login | refreshes | tokens | median s | last s |\n|---|---:|---:|---:|---:|")
    for taken in (one, many):
        last, middle = (
            statistics.median(values) for values in zip(*((of.last, of.middle) for of in taken), strict=True)
        )
        calls, tokens = max(of.calls for of in taken), max(of.tokens for of in taken)
        print(f"| {taken[0].processes} processes | {calls} | {tokens} | {middle:.2f} | {last:.2f} |")
    ratio = statistics.median(of.last for of in many) / statistics.median(of.last for of in one)
    return {"expired login, refreshes": float(max(of.calls for of in many)), "expired login, last process": ratio}


if __name__ == "__main__":
    main()
