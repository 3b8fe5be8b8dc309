"""Mixed load for as long as is wanted, and what the gateway's memory does: `python -m benchmarks.gateway.endurance`.

Every minute: small requests, large ones, streams that are left in the middle, wrong keys, and a rest in which the
ledger catches up. Memory is read after the rest. The first minutes fill caches; what counts is whether the rest grows.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.gateway import measure
from benchmarks.gateway.__main__ import LARGE, PATH, SMALL, STREAM, gateway, upstream
from benchmarks.gateway.subjects import SUBJECTS, Place

MIX = (
    ("small", SMALL, 64, True),
    ("large", LARGE, 16, True),
    ("streams left", STREAM, 200, True),
    ("refused", SMALL, 16, False),
)
WARM = 5
"""Minutes after which memory should no longer grow."""


def main() -> None:
    """Load the gateway and print one line a minute."""
    parser = argparse.ArgumentParser(prog="benchmarks.gateway.endurance", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=int, default=30)
    parser.add_argument("--seconds", type=int, default=8, help="of each kind of load in a minute")
    options = parser.parse_args()
    subject = next(one for one in SUBJECTS if one.name == "Keystead")
    memory = []
    with (
        tempfile.TemporaryDirectory() as name,
        upstream(Path(name)) as upstream_port,
        gateway(subject, Path(name), Place(upstream_port)) as one,
    ):
        for minute in range(1, options.minutes + 1):
            end, done = time.monotonic() + 60, []
            for what, body, connections, known in MIX:
                key = one.key if known else "unknown"
                ran = measure.load(one.port, PATH, key, body, connections=connections, seconds=options.seconds)
                done.append(f"{ran.requests:,} {what}")
            time.sleep(max(0.0, end - time.monotonic()))
            memory.append(measure.memory_mb(one.pid))
            print(f"minute {minute}: {memory[-1]:.1f} MB after {', '.join(done)}", flush=True)
    if len(memory) <= WARM:
        sys.exit("Too short to tell: let it run for longer than its first minutes, which fill caches.")
    growth = (memory[-1] - memory[WARM - 1]) / (len(memory) - WARM)
    print(f"Minute {WARM} to {len(memory)}: {memory[WARM - 1]:.1f} to {memory[-1]:.1f} MB, {growth:+.3f} a minute.")


if __name__ == "__main__":
    main()
