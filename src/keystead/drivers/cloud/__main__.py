"""The child process: one cloud's chain, and its answer as one line of JSON on standard output.

Asked for a signature, it reads what is to be signed from its arguments: an address and a hash, nothing secret. The
keys of AWS stay here; what leaves is good for that one request.
"""

import json
import sys
from importlib import import_module

from keystead.clock import SYSTEM_CLOCK
from keystead.credentials.cloud import parse_unsigned
from keystead.drivers.cloud import CHAINS, EXTRAS
from keystead.environment import Environment
from keystead.errors import KeysteadError, UnsupportedCredential
from keystead.wire.fields import Fields


def main(cloud: str, wanted: str, *arguments: str) -> None:
    """Ask, and print what is ``wanted`` (``identity``, ``token`` or ``headers``), or why not."""
    name, environment = CHAINS[cloud], Environment.capture()
    try:
        chain = import_module(f"{__package__}.{name}")
        if wanted == "headers":
            unsigned = parse_unsigned(Fields.parse(arguments[0].encode(), "request"))
            answer = {wanted: chain.sign(cloud, environment, unsigned)}
        else:
            ask = chain.fetch if wanted == "token" else chain.obtain
            answer = {wanted: ask(cloud, environment, SYSTEM_CLOCK.now()).to_json()}
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
    main(*sys.argv[1:])
