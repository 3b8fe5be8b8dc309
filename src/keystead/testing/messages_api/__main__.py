"""``python -m keystead.testing.messages_api``: run the fake until Ctrl-C."""

import argparse
import asyncio
import contextlib

from keystead.testing.messages_api.server import MessagesApi


async def _serve(host: str, port: int) -> None:
    api = MessagesApi(host=host, port=port)
    print(await api.serve(), flush=True)  # noqa: T201  the address is this command's output
    await asyncio.Event().wait()


def main() -> None:
    """Read the arguments and serve."""
    parser = argparse.ArgumentParser(description="Keystead's test upstream: a Messages API that is not a model.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 picks a free port")
    arguments = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(arguments.host, arguments.port))


if __name__ == "__main__":
    main()
