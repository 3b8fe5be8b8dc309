"""Where the upstreams that organizations connect may lead: each name is resolved once per connection, and judged.

An administrator types the address that this server then sends prompts to, with a credential. Every address that the
name has must be permitted, and the gateway connects by number, so that a name cannot change its mind in between.
"""

import asyncio
import ipaddress
import socket
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from keystead.clock import SYSTEM_CLOCK, Clock
from keystead.errors import PolicyDenied, ServerUnreachable
from keystead.server.outbound import Reach, is_metadata, permitted, permitted_plain
from keystead.server.upstream_shape import Addresses

REMEMBERED_SECONDS: Final = 30.0
"""How long an answer of the name service is used again."""
THREADS: Final = 16
"""Names that are asked for at the same time."""
MOST: Final = 1_000
"""Names that are remembered."""

Resolve = Callable[[str, int], Sequence[str]]
Judge = Callable[[str], bool]


class NotPermitted(OSError):
    """A name leads to an address that may not be asked; the message is for the operator's log."""


class Guard:
    """Resolves and judges, on the event loop.

    Args:
        within: what the operator has opened.
        clock: by which an answer grows old.
        resolve: asks the name service; called in a thread.
    """

    def __init__(self, within: Reach, clock: Clock = SYSTEM_CLOCK, resolve: Resolve | None = None) -> None:
        self._within = within
        self._clock = clock
        self._resolve = resolve or _resolve
        self._threads = ThreadPoolExecutor(THREADS, "upstream-names")
        self._asking: dict[tuple[str, int], asyncio.Future[Sequence[str]]] = {}
        self._known: OrderedDict[tuple[str, int], tuple[float, Sequence[str]]] = OrderedDict()

    def of_organizations(self, base_url: str) -> Addresses:
        """Return what resolves the host of an upstream that an organization's administrator typed."""
        return self._judging(self._plain if base_url.startswith("http://") else self._usual)

    def choose(self, base_url: str) -> Callable[[str, int], str]:
        """Return the same for whoever may wait, and connects to one address.

        It raises :class:`~keystead.errors.PolicyDenied` where one of the addresses may not be asked, and
        :class:`~keystead.errors.ServerUnreachable` where there is none.
        """
        judge = self._plain if base_url.startswith("http://") else self._usual

        def chosen(host: str, port: int) -> str:
            try:
                found = self._resolve(host, port)
            except OSError as error:
                raise ServerUnreachable(f"There is no address for {host}.", hint="Check how it is written.") from error
            if not all(map(judge, found)):
                raise PolicyDenied(
                    f"{host} leads to an address inside this server's own network.",
                    hint=f"Whoever runs the server can open it with {self._within.setting}.",
                    move="operator",
                )
            return found[0]

        return chosen

    @property
    def of_operator(self) -> Addresses:
        """What resolves the host of the settings' own upstream: anywhere but where machines learn their credentials."""
        return self._judging(lambda one: not is_metadata(ipaddress.ip_address(one)))

    def _usual(self, address: str) -> bool:
        return permitted(ipaddress.ip_address(address), self._within)

    def _plain(self, address: str) -> bool:
        return self._usual(address) and permitted_plain(ipaddress.ip_address(address), self._within)

    def _judging(self, judge: Judge) -> Addresses:
        async def addresses(host: str, port: int) -> Sequence[str]:
            found = await self._resolved(host, port)
            refused = next((one for one in found if not judge(one)), None)
            if refused is not None:
                raise NotPermitted(f"{host} leads to {refused}, which {self._within.setting} does not open")
            return found

        return addresses

    async def _resolved(self, host: str, port: int) -> Sequence[str]:
        now = self._clock.monotonic()
        until, found = self._known.get((host, port), (0.0, ()))
        if now < until:
            return found
        found = await self._asked_once(host, port)
        self._known[host, port] = (now + REMEMBERED_SECONDS, found)
        self._known.move_to_end((host, port))
        if len(self._known) > MOST:
            self._known.popitem(last=False)
        return found

    async def _asked_once(self, host: str, port: int) -> Sequence[str]:
        """Ask the name service; whoever wants to know the same meanwhile waits for that answer.

        So a name whose service does not answer takes one thread, however many requests wait for it and give up.
        """
        question = self._asking.get((host, port))
        if question is None:
            question = asyncio.get_running_loop().run_in_executor(self._threads, self._resolve, host, port)
            self._asking[host, port] = question
            question.add_done_callback(lambda one: self._answered((host, port), one))
        return await asyncio.shield(question)

    def _answered(self, asked: tuple[str, int], question: "asyncio.Future[Sequence[str]]") -> None:
        self._asking.pop(asked, None)
        if not question.cancelled():
            question.exception()  # whoever waited for it may be gone


def _resolve(host: str, port: int) -> list[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(info[4][0]).partition("%")[0] for info in found]
