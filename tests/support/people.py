"""Somebody with a browser that runs no scripts: the person in the system tests."""

import re
import urllib.parse
import urllib.request
from collections.abc import Mapping
from html.parser import HTMLParser
from http.cookiejar import CookieJar
from typing import Final

PATIENCE: Final = 60
EMAIL: Final = "ada@example.com"
PASSWORD: Final = "correct horse battery staple"


class Forms(HTMLParser):
    """Every form of a page's main part: where it goes and what its fields hold."""

    def __init__(self) -> None:
        super().__init__()
        self.forms: list[tuple[str, dict[str, str]]] = []
        self._select = ""
        self._area = ""
        self._in_main = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "main":
            self._in_main = True
        elif not self._in_main:
            return
        elif tag == "form":
            self.forms.append((given.get("action", ""), {}))
        elif self.forms and tag == "input" and "name" in given:
            self.forms[-1][1][given["name"]] = given.get("value", "")
        elif self.forms and tag == "textarea":
            self._area = given.get("name", "")
            self.forms[-1][1][self._area] = ""
        elif self.forms and tag == "select":
            self._select = given.get("name", "")
        elif self.forms and tag == "option" and ("selected" in given or self._select not in self.forms[-1][1]):
            self.forms[-1][1][self._select] = given.get("value", "")

    def handle_data(self, data: str) -> None:
        if self._area:
            self.forms[-1][1][self._area] += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea":
            self._area = ""


class Person:
    """Somebody with a browser: follows addresses, fills forms in, keeps cookies."""

    def __init__(self, base: str) -> None:
        self.base = base
        self.cookies = CookieJar()
        self._browser = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(self.cookies)
        )

    def open(self, address: str, data: Mapping[str, str | list[str]] | None = None) -> tuple[str, str]:
        """Return the address one ends at, and the page; ``data`` is a form that was filled in."""
        body = None if data is None else urllib.parse.urlencode(data, doseq=True).encode()
        request = urllib.request.Request(address, body, {"Origin": self.base, "Referer": address} if body else {})
        with self._browser.open(request, timeout=PATIENCE) as answer:
            return answer.geturl(), answer.read().decode()

    def fill(self, address: str, page: str, typed: dict[str, str], **button: str) -> tuple[str, str]:
        """Send the form of ``page`` that has all the fields of ``typed``."""
        reader = Forms()
        reader.feed(page)
        action, fields = next(form for form in reader.forms if typed.keys() <= form[1].keys())
        return self.open(urllib.parse.urljoin(address, action), {**fields, **typed, **button})

    def set_up(self, link: str) -> None:
        """Create the first administrator; a browser moves the code from the fragment into the form."""
        address, _, code = link.partition("#code=")
        account = {"code": code, "organization": "Example", "name": "Ada", "email": EMAIL}
        _, page = self.fill(*self.open(address), {**account, "password": PASSWORD})
        assert EMAIL in page

    def sign_in(self) -> None:
        """Open a new session, as with another browser."""
        self.fill(*self.open(self.base + "/account/login/"), {"login": EMAIL, "password": PASSWORD})

    def approve(self, link: str) -> None:
        """Compare the code and say yes."""
        code = {"user_code": code_in(link)}
        question = self.fill(*self.open(link), code)
        assert "Return to your device" in self.fill(*question, code, decision="approve")[1]

    def create_key(self, name: str = "README") -> str:
        """Return a new API key from the console."""
        _, page = self.fill(*self.open(self.base + "/keys"), {"name": name})
        found = re.search(r"ksk_[0-9A-Za-z]+", page)
        assert found
        return found[0]


def code_in(link: str) -> str:
    return urllib.parse.parse_qs(urllib.parse.urlsplit(link).query)["user_code"][0]
