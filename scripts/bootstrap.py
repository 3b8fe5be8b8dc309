"""Build ``.venv`` from a lock file, once.

A stamp inside ``.venv`` holds the hash of everything that decides its content. No stamp means that a build was
interrupted or never began, and the environment is built anew; a stamp that differs means that the lock changed, and
the environment is brought up to it. So a build can be stopped at any moment and the next one mends it.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
LOCKS = {"run": ROOT / "requirements/run.lock", "dev": ROOT / "requirements/dev.lock"}
"""The second holds everything of the first, at the same versions."""
DEBIAN_VENV = f"python3.{sys.version_info.minor}-venv"


def main(kind: str) -> None:
    """Bring ``.venv`` to the lock called ``kind``; another process doing the same is waited for."""
    if complete(kind):
        return
    with (ROOT / "pyproject.toml").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not complete(kind):
            build(kind)


def complete(kind: str) -> bool:
    """Return whether ``.venv`` already is what the lock says."""
    return stamped(kind) == fingerprint(kind)


def fingerprint(kind: str) -> str:
    """Return the hash of what decides the content: the lock, the package's own metadata, where the checkout lies."""
    parts = [LOCKS[kind].read_bytes(), (ROOT / "pyproject.toml").read_bytes(), os.fsencode(ROOT)]
    return hashlib.sha256(b"\0".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()


def stamp(kind: str) -> Path:
    """Return the file that says ``kind`` is complete."""
    return VENV / f"{kind}.stamp"


def stamped(kind: str) -> str:
    """Return the fingerprint ``.venv`` was last completed with; empty when it never was or its interpreter is gone."""
    whole = stamp(kind).exists() and (VENV / "bin/python").exists()
    return stamp(kind).read_text() if whole else ""


def build(kind: str) -> None:
    """Create or change the environment, and stamp it when, and only when, everything is in place."""
    existing = any(stamped(each) for each in LOCKS)
    for each in LOCKS:
        stamp(each).unlink(missing_ok=True)
    say(f"Setting up .venv from {LOCKS[kind].relative_to(ROOT)} (once; later starts skip this)")
    if not existing:
        create()
    python = str(VENV / "bin/python")
    pip = [python, "-m", "pip", "--disable-pip-version-check", "--no-input", "install", "--quiet"]
    run([*pip, "--require-hashes", "--requirement", str(LOCKS[kind])], "The locked packages could not be installed")
    own = [*pip, "--no-deps", "--no-build-isolation", "--no-index", "--editable", str(ROOT)]
    run(own, "Keystead itself could not be installed into .venv")
    for each in {"run", kind}:
        unfinished = stamp(each).with_suffix(".new")
        unfinished.write_text(fingerprint(each))
        unfinished.replace(stamp(each))


def create() -> None:
    """Make an empty environment, installing Debian's missing half of ``venv`` where that is possible."""
    try:
        from ensurepip import bootstrap  # noqa: F401  # Debian leaves it out of python3
    except ImportError:
        install_system_package(DEBIAN_VENV)
    run([sys.executable, "-m", "venv", "--clear", str(VENV)], f"{VENV} could not be created")


def install_system_package(package: str) -> None:
    """Install ``package`` when this is root on Debian, saying so; otherwise say which one command does it."""
    fix = f"sudo apt-get install {package}"
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        fail(f"Python {sys.version.split()[0]} cannot make environments: the system package {package} is missing.", fix)
    say(f"Installing the system package {package}, which this Python needs to make environments")
    if subprocess.run([str(ROOT / "scripts/system-packages"), package], check=False).returncode:
        fail(f"The system package {package} could not be installed.", fix)


def run(command: list[str], trouble: str) -> None:
    """Run ``command`` quietly; when it fails, show the end of what it said and stop."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        print("\n".join("    " + line for line in done.stdout.strip().splitlines()[-5:]), file=sys.stderr)
        fail(f"{trouble}; the lines above say why.", "check the network and pip's settings, then run the same again.")


def say(text: str) -> None:
    """Tell the person what takes time."""
    print(f"{text} …", file=sys.stderr, flush=True)


def fail(message: str, fix: str) -> NoReturn:
    """Stop with one sentence and the fix."""
    print(f"{message}\nThe fix: {fix}", file=sys.stderr)
    sys.exit(1)


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except KeyboardInterrupt:
        fail("Stopped before .venv was complete.", "run the same again; it starts over cleanly.")
