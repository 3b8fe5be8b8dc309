"""Compare two environments by the names of their variables; no value is shown (R-22)."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import click

from keystead.cli.exits import visible
from keystead.cli.paper import Paper
from keystead.cli.surroundings import Surroundings
from keystead.errors import UsageError
from keystead.resolver import Resolution, Resolver
from keystead.secret import Secret

_PREFIXES: Final = ("ANTHROPIC_", "AWS_", "AZURE_", "CLAUDE_", "CLOUD_ML_", "GOOGLE_", "KEYSTEAD_")
"""Names that can change the decision begin like this."""
_SCHEMA: Final = "keystead.explain/1"
_LARGEST: Final = 16 << 20


@dataclass(frozen=True, slots=True)
class Difference:
    """What differs, by name.

    Attributes:
        others: how many variables differ that cannot change the decision; None when it is not known.
        winner_here: source id of the credential used here; None when there is none.
        winner_there: the same with the other environment.
    """

    only_here: tuple[str, ...]
    only_there: tuple[str, ...]
    different: tuple[str, ...]
    others: int | None
    winner_here: str | None
    winner_there: str | None

    def to_json(self) -> dict[str, Any]:
        """Return the shape of ``diff`` in ``explain --json``."""
        return {
            "only_here": list(self.only_here),
            "only_there": list(self.only_there),
            "different": list(self.different),
            "others": self.others,
            "winner_here": self.winner_here,
            "winner_there": self.winner_there,
        }

    def lines(self, paper: Paper) -> list[str]:
        """Return the difference for people."""
        here, there = self.winner_here or "no credential", self.winner_there or "no credential"
        head = f"Both use {here}." if here == there else f"Here {here} is used, there {there}."
        rows = [
            ("Set here only", ", ".join(self.only_here)),
            ("Set there only", ", ".join(self.only_there)),
            ("Set to something else", ", ".join(self.different)),
            ("Others that differ", f"{self.others}, which change nothing here" if self.others else ""),
        ]
        table = paper.table([(label, visible(text)) for label, text in rows]) or ["  No variable that matters differs."]
        return [*(paper.style(one, bold=True) for one in paper.wrap(visible(head))), "", *table]


def compare(surroundings: Surroundings, file: str, here: Resolution, unset: Collection[str] = ()) -> Difference:
    """Compare this process's environment with ``file``, or with standard input for ``-``.

    Args:
        surroundings: this process's.
        file: a path, or ``-``.
        here: the decision here.
        unset: names that ``here`` was decided without; the other one is too.

    Raises:
        UsageError: it cannot be read, or is none of the three formats.
    """
    data = _read(surroundings, file)
    winner = here.winner.source if here.winner else None
    if data.lstrip()[:1] == b"{":
        salt, there, winner_there = _parse_report(data, file)
        ours = _fingerprints(surroundings, salt)
        return _difference(ours, there, None, (winner, winner_there))
    variables = _parse(data, file)
    environment = replace(surroundings.environment, variables=variables)
    resolver = Resolver(environment, surroundings.store, surroundings.clock, interactive=False, unset=unset)
    other = resolver.resolve()
    there_winner = other.winner.source if other.winner else None
    own = surroundings.environment.variables
    count = sum(own.get(name) != variables.get(name) for name in own.keys() | variables if not _matters(name))
    return _difference(_mattering(own), _mattering(variables), count, (winner, there_winner))


def fingerprints(surroundings: Surroundings) -> dict[str, Any]:
    """Return what stands for the variables that matter: salted fingerprints that a later ``--diff`` can compare."""
    salt = surroundings.random_bytes(16)
    return {"salt": salt.hex(), "variables": _fingerprints(surroundings, salt)}


def _fingerprints(surroundings: Surroundings, salt: bytes) -> dict[str, str]:
    mattering = _mattering(surroundings.environment.variables)
    # Any bytes can stand in a variable; as Latin-1 they all have a fingerprint.
    texts = {name: value.encode("utf-8", "surrogateescape").decode("latin-1") for name, value in mattering.items()}
    return {name: Secret(text).fingerprint(salt) for name, text in sorted(texts.items())}


def _matters(name: str) -> bool:
    return name.startswith(_PREFIXES)


def _mattering(variables: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in variables.items() if _matters(name)}


def _difference(
    here: Mapping[str, str], there: Mapping[str, str], others: int | None, winners: tuple[str | None, str | None]
) -> Difference:
    both = here.keys() & there.keys()
    return Difference(
        tuple(sorted(here.keys() - there.keys())),
        tuple(sorted(there.keys() - here.keys())),
        tuple(sorted(name for name in both if here[name] != there[name])),
        others,
        *winners,
    )


def _read(surroundings: Surroundings, file: str) -> bytes:
    try:
        path = file if file == "-" else str(surroundings.environment.cwd / file)
        with click.open_file(path, "rb") as stream:
            data: bytes = stream.read(_LARGEST)
            return data
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {(error.strerror or 'unknown error').lower()}.") from None


def _parse(data: bytes, file: str) -> dict[str, str]:
    """Return the variables in the output of ``env -0`` or ``env``; a line without a name continues the one before."""
    text = data.decode("utf-8", "surrogateescape")
    found: dict[str, str] = {}
    name = None
    for part in text.split("\0") if "\0" in text else text.splitlines():
        key, equals, value = part.partition("=")
        if equals and key.replace("_", "a").isalnum() and not key[0].isdigit():
            name, found[key] = key, value
        elif name is not None and part:
            found[name] += f"\n{part}"
    if not found:
        raise UsageError(f"{file} has no variables in it.", hint="Write it with: env -0 > FILE")
    return found


def _parse_report(data: bytes, file: str) -> tuple[bytes, dict[str, str], str | None]:
    try:
        document = json.loads(data)
        if document["schema"] != _SCHEMA:
            raise ValueError(_SCHEMA)
        winner, salt = document["winner"], bytes.fromhex(document["environment"]["salt"])
        variables = document["environment"]["variables"]
        if not all(isinstance(one, str) for one in variables.values()):
            raise TypeError("variables")
        return salt, dict(variables), None if winner is None else str(winner["source"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise UsageError(
            f"{file} is not the output of explain --json.", hint="Write it with: keystead explain --json > FILE"
        ) from None
