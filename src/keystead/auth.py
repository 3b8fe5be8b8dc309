"""This machine's credential as the ``auth`` of an HTTP client: renewed while the client lives, bound to its origin.

::

    with httpx2.Client(auth=KeysteadAuth()) as http:
        http.get("https://api.anthropic.com/v1/models")

:class:`KeysteadAuth` is for httpx2. For httpx, which has the same protocol, mix :class:`AuthFlow` into its class::

    class HttpxAuth(AuthFlow, httpx.Auth): ...
"""

import functools
from asyncio import to_thread
from collections.abc import AsyncGenerator, Generator, ItemsView, Iterator, KeysView, ValuesView
from typing import TYPE_CHECKING, Any, Final, cast

import httpx2

from keystead.client import Client
from keystead.credentials import Header
from keystead.errors import CredentialRejected
from keystead.release import Signed

if TYPE_CHECKING:
    _Headers = httpx2.Headers
else:
    _Headers = object

_CREDENTIAL_HEADERS: Final = frozenset(Header)


class AuthFlow:
    """Adds the one header; when it is refused, renews once and tries once more; then it is final (R-09).

    The credential is looked up for every request, so a renewal or a new sign-in by any process counts at once
    (R-10). It goes to the origins it belongs to and on no redirect whatever, even if the client follows them (R-07).

    For synchronous and asynchronous clients: an event loop is never blocked, because every step runs in a thread.
    A request whose body can be read only once is not sent a second time; the next one has the renewed credential.
    Where a cloud wants each request signed, it is, by the cloud's SDK in a process of its own.

    Args:
        client: whose credential; by default that of this process's environment.

    Raises:
        PolicyDenied: from the request: it goes to an origin the credential does not belong to; nothing was sent.
        KeysteadError: from the request: there is no credential, or it could not be renewed.
    """

    requires_request_body = False
    requires_response_body = False

    def __init__(self, client: Client | None = None) -> None:
        self._client = client or Client.local()

    def sync_auth_flow(self, request: httpx2.Request) -> Generator[httpx2.Request, httpx2.Response, None]:
        """Yield the request with its header, and once more after a 401 that a renewal may cure."""
        if not isinstance(request.headers, OneHop):
            request.headers = _one_hop(type(request.headers))(request.headers)
        access = self._client.access()
        if isinstance(access, Signed):
            yield access.add_to(request)
            return
        authorized = access
        response = yield authorized.add_to(request)
        if not authorized.is_refused(response.status_code) or response.request is not request:  # redirected: without
            return
        try:
            renewed = self._client.again(authorized)
        except CredentialRejected:  # nothing to renew: the server's answer stands
            return
        if _can_be_sent_again(request):
            yield renewed.add_to(request)

    async def async_auth_flow(self, request: httpx2.Request) -> AsyncGenerator[httpx2.Request, httpx2.Response]:
        """Do the same with every step in a thread."""
        flow = self.sync_auth_flow(request)
        outgoing = await to_thread(_advance, flow, None)
        while outgoing is not None:
            response = yield outgoing
            outgoing = await to_thread(_advance, flow, response)


class KeysteadAuth(AuthFlow, httpx2.Auth):
    """:class:`AuthFlow` for ``httpx2.Client`` and ``httpx2.AsyncClient``."""


def _advance(
    flow: Generator[httpx2.Request, httpx2.Response, None], response: httpx2.Response | None
) -> httpx2.Request | None:
    try:
        return next(flow) if response is None else flow.send(response)
    except StopIteration:  # cannot cross from a thread into an event loop
        return None


def _can_be_sent_again(request: httpx2.Request) -> bool:
    try:
        return request.content is not None
    except RuntimeError:  # RequestNotRead: a stream
        return False


class OneHop(_Headers):
    """Headers that send and show a credential, and leave it out of every copy.

    A client makes the headers of a redirect by copying; it would take ``x-api-key`` along to another origin.
    """

    _plain: type[httpx2.Headers]

    def __init__(self, headers: httpx2.Headers) -> None:
        super().__init__(headers)
        self._credential: dict[str, str] = {}

    def _whole(self) -> httpx2.Headers:
        whole = self._plain(self)  # which does not see `_credential`
        for name, value in self._credential.items():
            whole[name] = value
        return whole

    def __setitem__(self, name: str, value: str) -> None:
        if name.lower() in _CREDENTIAL_HEADERS:
            self._credential[name.lower()] = value
        else:
            super().__setitem__(name, value)

    def __delitem__(self, name: str) -> None:
        if self._credential.pop(name.lower(), None) is None:
            super().__delitem__(name)

    def __getitem__(self, name: str) -> str:
        return self._whole()[name]

    def __contains__(self, name: Any) -> bool:
        return name in self._whole()

    def __iter__(self) -> Iterator[str]:
        return iter(self._whole())

    def __len__(self) -> int:
        return len(self._whole())

    def __repr__(self) -> str:
        return repr(self._plain(self))  # the client's own would hide `authorization` only

    @property
    def raw(self) -> list[tuple[bytes, bytes]]:
        return self._whole().raw

    def keys(self) -> KeysView[str]:
        return self._whole().keys()

    def values(self) -> ValuesView[str]:
        return self._whole().values()

    def items(self) -> ItemsView[str, str]:
        return self._whole().items()

    def multi_items(self) -> list[tuple[str, str]]:
        return self._whole().multi_items()

    def get_list(self, name: str, split_commas: bool = False) -> list[str]:
        return self._whole().get_list(name, split_commas)


@functools.cache
def _one_hop(plain: type[httpx2.Headers]) -> type[OneHop]:
    """Return :class:`OneHop` over the headers of the HTTP library in use, httpx2's or httpx's."""
    return cast("type[OneHop]", type("OneHop", (OneHop, plain), {"_plain": plain}))
