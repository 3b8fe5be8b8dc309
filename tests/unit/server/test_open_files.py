"""A server may hold as many connections as the operator allows, not as many as a shell begins with."""

import subprocess
import sys

import pytest

SCRIPT = """
import resource
from keystead.server import open_files

_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
open_files.allow_all()
assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)
open_files.resource = None  # as on Windows
open_files.allow_all()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such limit")
def test_the_limit_on_open_files_is_raised() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
