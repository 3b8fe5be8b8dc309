"""What handing out a credential costs: `make bench-cli`.

`keystead token`, `gh auth token` and a bare interpreter in turn, many times over. CPU time is user and system time of
the process with its children, as the kernel counted it; the wall clock is printed only for orientation.
"""

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

GH_CONFIGURATION = """github.com:
    user: bench
    oauth_token: gho_not_a_real_token
    git_protocol: https
"""


def commands(home: Path) -> dict[str, list[str]]:
    """The rows; each prints a credential that lies in a file or variable, without any network."""
    python = Path(sys.executable)
    rows = {
        "bare interpreter": [str(python), "-I", "-S", "-c", "pass"],
        "interpreter with site": [str(python), "-c", "pass"],
        "keystead token": [str(python.with_name("keystead")), "token"],
    }
    if gh := shutil.which("gh"):
        place = home / ".config/gh"
        place.mkdir(parents=True)
        (place / "hosts.yml").write_text(GH_CONFIGURATION)
        rows["gh auth token"] = [gh, "auth", "token"]
    return rows


def run(command: list[str], home: Path) -> tuple[float, float]:
    """Milliseconds of CPU and of wall clock."""
    environment = {"HOME": str(home), "PATH": os.defpath, "ANTHROPIC_API_KEY": "sk-not-a-real-key"}
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, env=environment, cwd=home, capture_output=True, check=True)
    after, end = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return cpu * 1000, (end - start) * 1000


def main() -> None:
    """Run the rows in turn and print medians."""
    parser = argparse.ArgumentParser(prog="benchmarks.cli", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=40)
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as name:
        rows = commands(Path(name))
        times: dict[str, list[tuple[float, float]]] = {row: [] for row in rows}
        for command in rows.values():
            run(command, Path(name))
        for _ in range(runs):
            for row, command in rows.items():
                times[row].append(run(command, Path(name)))
    middle = {row: [statistics.median(column) for column in zip(*taken, strict=True)] for row, taken in times.items()}
    base = middle.get("gh auth token", [float("nan")])[0]
    print("| command | CPU ms | x gh | wall ms |\n|---|---:|---:|---:|")
    for row, (cpu, wall) in middle.items():
        print(f"| {row} | {cpu:.1f} | {cpu / base:.2f} | {wall:.1f} |")


if __name__ == "__main__":
    main()
