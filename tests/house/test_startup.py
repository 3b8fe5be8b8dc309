"""What a shell prompt pays for: ``keystead token`` loads nothing it does not need."""

import json
import os
import subprocess
import sys
from pathlib import Path

HEAVY = {
    "asyncio", "concurrent.futures", "ctypes", "django", "email", "http.client", "httpx2", "keyring", "logging",
    "pydantic", "sqlite3", "ssl", "tomllib", "unittest", "urllib.request", "webbrowser",
}  # fmt: skip

PROBE = """
import json, sys
from keystead.cli import main
sys.argv = ["keystead", "token"]
try:
    main()
except SystemExit as end:
    print(json.dumps({"code": end.code or 0, "modules": sorted(sys.modules)}), file=sys.stderr)
"""


def test_token_loads_nothing_heavy(tmp_path: Path) -> None:
    """The credential is in the environment; finding it needs no network, no loop and no framework."""
    variables = {"HOME": str(tmp_path), "PATH": os.defpath, "ANTHROPIC_AUTH_TOKEN": "canary-of-the-start-up-test"}
    done = subprocess.run(
        [sys.executable, "-c", PROBE], env=variables, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    report = json.loads(done.stderr.splitlines()[-1])
    assert report["code"] == 0
    assert done.stdout == "canary-of-the-start-up-test\n"
    assert not HEAVY.intersection(report["modules"])
