"""The server's own upstream, that of the settings: proven at the start, and its key read again where it is a reference.

Nothing here stops the server: a network that is away when it starts may be back in a minute. What is wrong stands in
the log and on ``/readyz``.
"""

import ipaddress
import logging
from collections.abc import Mapping
from typing import Final

from keystead.clock import Clock
from keystead.errors import KeysteadError
from keystead.secret import Secret
from keystead.server import outbound
from keystead.server.fixed_credential import FixedCredential
from keystead.server.outbound import Reach
from keystead.server.settings import NO_UPSTREAM, ServerSettings, secret_of, where_from
from keystead.server.upstream_network import Guard
from keystead.server.upstream_shape import Kind, Upstream
from keystead.server.upstreams import methods, references, trial
from keystead.sources.references import is_reference

_LOG: Final = logging.getLogger("keystead.server")
SETTING: Final = "upstream_api_key"
PROVEN_AGAIN_SECONDS: Final = 60.0
"""How soon one that did not work is asked again; one that works is not, its requests show how it is."""
ASKED_AGAIN_SECONDS: Final = 300.0
"""How long what takes long to ask, such as a program, is used before it is asked again."""
_EVERYWHERE: Final = tuple(map(ipaddress.ip_network, ("0.0.0.0/0", "::/0")))
ANYWHERE: Final = Reach(_EVERYWHERE, loopback=True, plain=True)
"""Where the operator may send their own requests: everywhere but to addresses that give machines their credentials."""


class OwnUpstream:
    """The upstream of the settings.

    Args:
        settings: with an upstream and its key.
        variables: what a reference is read against.
        clock: by which it is looked at again.

    Attributes:
        shape: as the gateway asks it; its credential changes in place.
    """

    def __init__(self, settings: ServerSettings, key: Secret, variables: Mapping[str, str], clock: Clock) -> None:
        guard = Guard(outbound.upstream_reach(settings))
        self._credential = FixedCredential(key)
        self._key = key
        self.shape = Upstream(
            "default", "anthropic", Kind.ANTHROPIC, settings.upstream_url, self._credential, addresses=guard.of_operator
        )
        self._settings = settings
        self._variables = variables
        self._clock = clock
        self._read_at = clock.monotonic()
        self._prove_at = clock.monotonic()
        self._said = ""
        self._trouble = ""
        self._works: bool | None = None

    def look(self, _now: float) -> None:
        """Read the key again where it may have changed, and ask the upstream where it is not known to work."""
        self._read_again()
        if self._works is not True and self._clock.monotonic() >= self._prove_at:
            self._prove()

    def remark(self) -> str:
        """Return what ``/readyz`` says of it; nothing while nothing is wrong."""
        return "; the server's own upstream is in trouble (see the log)" if self._works is False else ""

    def _read_again(self) -> None:
        found = where_from(SETTING, self._settings.data_dir, self._variables)
        if found is None or not is_reference(found[1]) or self._is_early(found[1]):
            return
        self._read_at = self._clock.monotonic()
        try:
            key = secret_of(*found, self._variables)
            methods.check_lawful(key.reveal(), found[0])
            if key != self._key:
                self._credential.renew(key)
                self._key, self._works, self._prove_at = key, None, self._clock.monotonic()
                _LOG.info("the key of the server's own upstream was read again and has changed")
        except KeysteadError as error:
            self._complain(f"{error.message} {error.hint}" if error.hint else error.message)
        else:
            self._trouble = ""

    def _is_early(self, reference: str) -> bool:
        """Return whether what takes long to ask was asked a short while ago."""
        return references.are_slow([reference]) and self._clock.monotonic() < self._read_at + ASKED_AGAIN_SECONDS

    def _complain(self, sentence: str) -> None:
        """Say once that the key that was read last is used further, and why."""
        if sentence != self._trouble:
            _LOG.warning("the server's own upstream goes on with the key that was read last: %s", sentence)
        self._trouble = sentence

    def _prove(self) -> None:
        self._prove_at = self._clock.monotonic() + PROVEN_AGAIN_SECONDS
        outcome = trial.ask(self.shape, ANYWHERE)
        self._works = outcome.works
        if outcome.sentence != self._said:
            level = logging.INFO if outcome.works else logging.WARNING
            _LOG.log(level, "the server's own upstream, %s: %s", self.shape.base_url, outcome.sentence)
        self._said = outcome.sentence


def of(settings: ServerSettings, variables: Mapping[str, str], clock: Clock) -> OwnUpstream | None:
    """Return the upstream of the settings; None where there is none, or the built-in test upstream stands in for it.

    Raises:
        ConfigurationError: its key cannot be sent.
    """
    key = settings.upstream_api_key
    if settings.upstream_url == NO_UPSTREAM or key is None:
        return None
    return OwnUpstream(settings, key, variables, clock)
