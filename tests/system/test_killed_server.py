"""What a server leaves: killed, every refresh that it answered, for the commit comes first; stopped, all its rows."""

import http.client
import json
import os
import signal
import sqlite3
import subprocess
import sys
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from urllib.parse import urlencode

import pytest
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


def test_a_stream_that_outlasts_a_stop_is_cut_and_is_in_the_ledger(tmp_path: Path) -> None:
    question = {"role": "user", "content": "x-keystead-fake: hang=5"}
    body = {"model": "keystead-test-1", "max_tokens": 300, "stream": True, "messages": [question]}
    with RunningServer(tmp_path, {"KEYSTEAD_SERVER_DRAIN_SECONDS": "1"}) as server:
        headers = {"x-api-key": server.administrator().create_key(), "content-type": "application/json"}
        asked = urllib.request.Request(f"{server.base}/v1/messages", json.dumps(body).encode(), headers)
        with urllib.request.urlopen(asked, timeout=PATIENCE) as answer:
            assert answer.readline() == b"event: message_start\n"
            assert server.stop(signal.SIGTERM) == 0
            with pytest.raises(http.client.IncompleteRead):
                answer.read()
    (database,) = tmp_path.rglob("keystead.sqlite3")
    with closing(sqlite3.connect(database)) as ledger:
        assert ledger.execute("SELECT status, aborted FROM usage_usageentry").fetchall() == [(200, 1)]
