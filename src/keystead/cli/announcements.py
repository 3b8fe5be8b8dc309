"""What ``login`` says while it works: the same events for people and, one JSON object a line, for programs."""

import json
from collections.abc import Mapping
from typing import Final, Protocol

import click

from keystead.cli.exits import sentence, visible
from keystead.cli.paper import Paper, duration
from keystead.drivers import terminal
from keystead.stores import DEFAULT_PROFILE

SCHEMA: Final = "keystead.login/1"


class Announcer(Protocol):
    """Hears of each event as it happens."""

    def server(self, url: str, place: str) -> None:
        """The server to sign in to was found and answered."""

    def browser(self, url: str, *, opened: bool, pasting: bool) -> None:
        """Somebody must open ``url``; a code can be pasted when ``pasting``."""

    def device(self, user_code: str, address: str, complete: str | None, lifetime: float) -> None:
        """Somebody must type ``user_code`` at ``address`` within ``lifetime`` seconds."""

    def copied(self) -> None:
        """The address was put on the clipboard."""

    def not_a_code(self, reason: str) -> None:
        """What was pasted is no code; the waiting goes on."""

    def signed_in(self, facts: Mapping[str, str | None]) -> None:
        """The new sign-in is stored and verified."""

    def warning(self, text: str) -> None:
        """Something the person must know; the sign-in stands."""


class ForPeople:
    """Sentences on stderr, so that standard output stays free; addresses alone on their line, never wrapped."""

    def __init__(self, paper: Paper, *, links: bool) -> None:
        self._paper = paper
        self._links = links

    def server(self, url: str, place: str) -> None:
        self._say(f"Signing in to {url}" + ("" if place in {"--server", "default"} else f" (from {place})") + ".")

    def browser(self, url: str, *, opened: bool, pasting: bool) -> None:
        self._say("Your browser opens this address:" if opened else "Open this address in a browser:")
        self._address(url)
        if pasting:
            self._say("Press c to copy it. If the browser shows a code, paste it here and press Enter.")
        self._say("Waiting …")

    def device(self, user_code: str, address: str, complete: str | None, lifetime: float) -> None:
        self._say("On any device, open this address:")
        self._address(address)
        self._say("and enter this code:")
        self._plain(f"\n    {self._paper.style(visible(user_code), bold=True)}\n")
        if complete is not None:
            self._say("Or open this address, which has the code in it, and compare:")
            self._address(complete)
        self._say(f"Waiting; the code is good for {duration(lifetime)} …")

    def copied(self) -> None:
        self._say("Copied, if your terminal allows it.")

    def not_a_code(self, reason: str) -> None:
        self._say(sentence(reason))

    def signed_in(self, facts: Mapping[str, str | None]) -> None:
        who = facts.get("email") or facts.get("account")
        self._plain("\n".join(self._paper.wrap(f"Signed in to {facts['server']} as {visible(str(who))}.")))
        profile = facts.get("profile")
        rows = [
            ("Organization", facts.get("organization")),
            ("Who pays", facts.get("payer")),
            ("Profile", None if profile == DEFAULT_PROFILE else profile),
            ("Kept in", facts.get("store")),
        ]
        self._plain("\n".join(self._paper.table([(label, visible(text)) for label, text in rows if text])))

    def warning(self, text: str) -> None:
        for line in self._paper.wrap(sentence(visible(text)), 2, first="! "):
            self._plain(self._paper.style(line, fg="yellow", bold=True))

    def _say(self, text: str) -> None:
        self._plain("\n".join(self._paper.wrap(visible(text))))

    def _address(self, url: str) -> None:
        self._plain(f"\n{terminal.hyperlink(visible(url)) if self._links else visible(url)}\n")

    def _plain(self, text: str) -> None:
        if text:
            click.echo(text, err=True, color=True)


class ForPrograms:
    """One JSON object a line on standard output, each with ``schema`` and ``event``."""

    def server(self, url: str, place: str) -> None:
        self._emit("server", url=url, place=place)

    def browser(self, url: str, *, opened: bool, pasting: bool) -> None:
        self._emit("browser", url=url, opened=opened, pasting=pasting)

    def device(self, user_code: str, address: str, complete: str | None, lifetime: float) -> None:
        self._emit(
            "device_code",
            user_code=user_code,
            verification_uri=address,
            verification_uri_complete=complete,
            expires_in=lifetime,
        )

    def copied(self) -> None:
        self._emit("copied")

    def not_a_code(self, reason: str) -> None:
        self._emit("not_a_code", message=reason)

    def signed_in(self, facts: Mapping[str, str | None]) -> None:
        self._emit("signed_in", **facts)

    def warning(self, text: str) -> None:
        self._emit("warning", message=text)

    def _emit(self, event: str, **values: object) -> None:
        click.echo(json.dumps({"schema": SCHEMA, "event": event, **values}))
