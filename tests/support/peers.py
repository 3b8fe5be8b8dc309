"""Programs that others wrote, run by Node.js out of ``tests/peers``: clients and identity providers.

A peer is a script ``tests/peers/NAME.mjs``. One that serves prints a line of JSON when it answers; one that asks
prints what it saw as a line of JSON at the end. What a peer is told stands in its standard input as JSON, so that no
secret is an argument.
"""

import contextlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PEERS = Path(__file__).resolve().parents[1] / "peers"
TIMEOUT = 60


def ask(name: str, **told: Any) -> dict[str, Any]:
    """Run the peer to its end and return what it printed; what it complained of is in the assertion."""
    done = subprocess.run(
        _command(name), input=json.dumps(told), capture_output=True, text=True, timeout=TIMEOUT, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


@contextlib.contextmanager
def serving(name: str, **told: Any) -> Iterator[dict[str, Any]]:
    """Start the peer, give what it printed when it answered, and end it."""
    with subprocess.Popen(_command(name), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps(told) + "\n")
            process.stdin.close()
            yield json.loads(process.stdout.readline())
        finally:
            process.terminate()


def _command(name: str) -> list[str]:
    return ["node", "--no-warnings", str(PEERS / f"{name}.mjs")]
