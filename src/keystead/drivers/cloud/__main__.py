"""The child process: one cloud's chain, and its answer as one line of JSON on standard output."""

import json
import sys
from importlib import import_module

from keystead.clock import SYSTEM_CLOCK
from keystead.drivers.cloud import CHAINS, EXTRAS
from keystead.environment import Environment
from keystead.errors import KeysteadError, UnsupportedCredential


def main(cloud: str) -> None:
    """Ask, and print who it is or why not."""
    name = CHAINS[cloud]
    try:
        identity = import_module(f"{__package__}.{name}").obtain(cloud, Environment.capture(), SYSTEM_CLOCK.now())
        answer = {"identity": identity.to_json()}
    except ModuleNotFoundError as error:
        missing = UnsupportedCredential(
            f"The credentials of {cloud} cannot be checked: {error.name} is not installed.",
            hint=f"Install it with: pip install 'keystead[{EXTRAS[name]}]'",
        )
        answer = {"error": missing.to_json()}
    except KeysteadError as error:
        answer = {"error": error.to_json()}
    print(f"\n{json.dumps(answer)}", flush=True)  # noqa: T201  the pipe to the parent


if __name__ == "__main__":
    main(sys.argv[1])
