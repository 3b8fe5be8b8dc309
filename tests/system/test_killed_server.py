"""A server that is killed has every refresh that it answered: the commit comes first, also when many share it."""

import json
import os
import signal
import subprocess
import sys
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlencode

from joserfc.jwk import ECKey
from people import PATIENCE
from running import RunningServer

ROOT = Path(__file__).resolve().parents[2]
CROWD = 16
ROUNDS = 5


def refreshed(base: str, token: str) -> str:
    form = {"grant_type": "refresh_token", "client_id": "keystead-cli", "refresh_token": token}
    with urllib.request.urlopen(f"{base}/oauth/token", urlencode(form).encode(), PATIENCE) as answer:
        following: str = json.load(answer)["refresh_token"]
    return following


def test_a_killed_server_knows_every_token_that_it_gave_out(tmp_path: Path) -> None:
    settings = {"KEYSTEAD_SERVER_DATA_DIR": str(tmp_path / "server")}
    key = ECKey.generate_key("P-256").as_dict(private=False)
    seed = subprocess.run(
        [sys.executable, "-m", "benchmarks.tokens.seed"],
        input=json.dumps({"count": CROWD, "issuer": "https://builds.example.com", "key": key}),
        text=True,
        env={"HOME": str(tmp_path), "PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **settings},
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    tokens: list[str] = json.loads(seed.stdout)["refresh_tokens"]
    with ThreadPoolExecutor(CROWD) as crowd:
        with RunningServer(tmp_path, settings) as server:
            for _ in range(ROUNDS):
                tokens = list(crowd.map(lambda token: refreshed(server.base, token), tokens))
            server.stop(signal.SIGKILL)
        with RunningServer(tmp_path, settings) as server:
            after = list(crowd.map(lambda token: refreshed(server.base, token), tokens))
    assert len(set(after)) == CROWD
