"""A browser without scripts that walks through an identity provider of others and stops at the door of this server."""

import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from html.parser import HTMLParser
from http.cookiejar import CookieJar
from typing import Any, Final

PATIENCE: Final = 60
STEPS: Final = 12


@dataclass(frozen=True, slots=True)
class Door:
    """Where the visitor was sent back to: an address of this server, and what is posted there, if anything."""

    address: str
    form: Mapping[str, str]


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


class _Form(HTMLParser):
    """The first form of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.action: str | None = None
        self.fields: dict[str, str] = {}
        self._inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form" and self.action is None:
            self.action, self._inside = given.get("action", ""), True
        elif self._inside and tag in {"input", "button"} and given.get("name"):
            self.fields[given["name"]] = given.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._inside = False


def first_form(page: str) -> tuple[str, dict[str, str]]:
    """Where the first form of a page goes, and what its fields hold."""
    reader = _Form()
    reader.feed(page)
    assert reader.action is not None, f"no form: {_words(page)}"
    return reader.action, reader.fields


class Visitor:
    """Keeps cookies; types what a page asks for."""

    def __init__(self, home: str, typed: Mapping[str, str]) -> None:
        self._home = home
        self._typed = typed
        self._browser = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(CookieJar()), _Stay()
        )

    def walk(self, address: str) -> Door:
        """Follow redirects and send forms until one leads back to this server."""
        form: dict[str, str] = {}
        for _ in range(STEPS):
            if address.startswith(self._home):
                return Door(address, form)
            status, location, page = self._open(address, form)
            if location:
                address, form = urllib.parse.urljoin(address, location), {}
                continue
            assert status == 200, f"{status} at {address}: {_words(page)}"
            action, fields = first_form(page)
            address = urllib.parse.urljoin(address, action)
            form = {name: self._typed.get(name, value) for name, value in fields.items()}
        raise AssertionError(f"no way back from {address}")

    def _open(self, address: str, form: Mapping[str, str]) -> tuple[int, str, str]:
        body = urllib.parse.urlencode(form).encode() if form else None
        try:
            with self._browser.open(urllib.request.Request(address, body), timeout=PATIENCE) as answer:
                return answer.status, answer.headers.get("Location", ""), answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers.get("Location", ""), error.read().decode()


def _words(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))[:1500]
