"""Prove a cloud's credentials before the first request: asked once for all processes, repaired when a setting says how.

The shape is that of :mod:`keystead.refresher`: look, lock, look again, ask, keep, release. What is kept is who the
cloud takes this machine for and until when, never a credential: those stay with the cloud's own SDK.
"""

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Final

from keystead.clock import Clock
from keystead.credentials.cloud import CloudIdentity
from keystead.drivers import cloud as driver
from keystead.drivers import command
from keystead.environment import Environment
from keystead.errors import CloudNotReady, StoreUnavailable, UnsupportedCredential
from keystead.sources import cloud as switches
from keystead.sources.cloud import CLOUDS, Cloud
from keystead.sources.configuration import Configuration, Reading, Value
from keystead.stores.cloud_cache import CloudCache

LIFETIME: Final = 300.0
"""Seconds for which an answer counts."""
PATIENCE: Final = 60.0
"""Seconds to wait for another process that is asking."""
REMEDY_DEADLINE: Final = 180.0
"""Seconds for a refresh command: it may wait for a sign-in in the browser."""
EXPORT: Final = "awsCredentialExport"
_LONGEST_EXPORT: Final = 65_536
_DEPENDS_ON: Final = (
    "AWS_",
    "AZURE_",
    "IDENTITY_",
    "MSI_",
    "GOOGLE_",
    "GCLOUD_",
    "GCE_",
    "CLOUDSDK_",
    "ANTHROPIC_",
    "CLOUD_ML_",
)
_FILE_VARIABLES: Final = ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "GOOGLE_APPLICATION_CREDENTIALS")
_EXPORTED: Final = {
    "AWS_ACCESS_KEY_ID": "AccessKeyId",
    "AWS_SECRET_ACCESS_KEY": "SecretAccessKey",
    "AWS_SESSION_TOKEN": "SessionToken",
}


class Clouds:
    """Asks the clouds on one machine.

    Args:
        deadline: seconds for one pass through a cloud's chain.
        patience: seconds to wait for another process that is asking.
        say: told what a refresh command prints, line by line: the address of a sign-in page, or a code to type there.
    """

    def __init__(
        self,
        environment: Environment,
        clock: Clock,
        *,
        deadline: float = driver.DEADLINE,
        patience: float = PATIENCE,
        say: Callable[[str], None] | None = None,
    ) -> None:
        self._environment = environment
        self._clock = clock
        self._deadline = deadline
        self._patience = patience
        self._say = say

    def prove(self, name: str, *, fresh: bool = False) -> CloudIdentity:
        """Return who the cloud takes this machine for.

        Args:
            name: id of the cloud, such as ``bedrock``.
            fresh: ask now, whatever was answered a moment ago.

        Raises:
            CloudNotReady: it would refuse the first request; the message says why, the hint what to do.
            ServerUnreachable: the cloud could not be asked.
            StoreBusy: another process has been asking for longer than the patience.
        """
        cloud, configuration = CLOUDS[name], Configuration.read(self._environment)
        if switches.on(configuration.variable(cloud.skip).value):
            return CloudIdentity(name, f"a proxy ({cloud.skip})")
        variables = self._variables(cloud, configuration)
        cache = CloudCache(self._environment.state_dir, name, self._surroundings(cloud, variables), self._clock)
        began = self._clock.now()
        oldest = began if fresh else began - LIFETIME
        kept = cache.load(oldest)
        if kept is not None:
            return kept
        try:
            with cache.lock(self._patience):
                # Another process may have been told while this one waited: its answer is ours, a refusal too.
                kept, refusal = cache.load(oldest), cache.refusal(began)
                if refusal is not None:
                    raise refusal
                return kept or self._asked(cloud, configuration, variables, cache)
        except StoreUnavailable:  # nothing may be written here: then nothing is shared
            return self._ask(cloud, configuration, variables)

    def _variables(self, cloud: Cloud, configuration: Configuration) -> dict[str, str]:
        """Return the variables for the chain: trusted ones, and the places a project may choose."""
        chosen = {name: value.text for name in cloud.places if (value := configuration.variable(name).value)}
        return configuration.variables() | chosen

    def _surroundings(self, cloud: Cloud, variables: Mapping[str, str]) -> dict[str, str]:
        """Return all that an answer depends on: variables, and the state of the files they mean."""
        files = [self._environment.home / name for name in cloud.files]
        files += [self._environment.cwd / variables[name] for name in _FILE_VARIABLES if variables.get(name)]
        states = {}
        for path in files:
            with suppress(OSError):
                status = path.stat()
                states[str(path)] = f"{status.st_mtime_ns} {status.st_size} {status.st_ino}"
        relevant = {name: value for name, value in variables.items() if name.startswith(_DEPENDS_ON)}
        return {"home": str(self._environment.home)} | states | relevant

    def _asked(
        self, cloud: Cloud, configuration: Configuration, variables: Mapping[str, str], cache: CloudCache
    ) -> CloudIdentity:
        """Ask, and keep the answer."""
        try:
            identity = self._ask(cloud, configuration, variables)
        except CloudNotReady as error:
            with suppress(StoreUnavailable):
                cache.save(error)
            raise
        with suppress(StoreUnavailable):
            cache.save(identity)
        return identity

    def _ask(self, cloud: Cloud, configuration: Configuration, variables: Mapping[str, str]) -> CloudIdentity:
        """Go through the chain; when it has nothing, through each remedy that is configured and the chain again."""
        try:
            return self._chain(cloud, variables)
        except CloudNotReady as error:
            problem = error
        ignored: list[str] = []
        for name in cloud.remedies:
            reading = configuration.setting(name)
            ignored += reading.warnings
            if reading.value is None:
                continue
            variables = dict(variables) | self._remedy(name, reading, variables)
            try:
                found = self._chain(cloud, variables)
            except CloudNotReady as error:
                problem = error
            else:
                return _from_export(found, reading.value) if name == EXPORT else found
        raise CloudNotReady(problem.message, hint=" ".join((problem.hint or cloud.fix, *ignored)))

    def _chain(self, cloud: Cloud, variables: Mapping[str, str]) -> CloudIdentity:
        try:
            return driver.obtain(cloud.id, self._environment, variables, self._clock, self._deadline)
        except UnsupportedCredential as error:  # without the SDK, traces are all that can be looked at
            if not switches.at_hand(cloud, lambda name: bool(variables.get(name)), self._environment.home):
                raise CloudNotReady(
                    f"{cloud.switch} is on, but no credentials of that cloud were found.",
                    hint=f"{cloud.fix[:1].upper()}{cloud.fix[1:]}. {error.hint}, to look in every place.",
                ) from None
            note = f"{error.message.rstrip('.')}: {error.hint}"
            return CloudIdentity(cloud.id, "an unknown place", notes=(note,))

    def _remedy(self, name: str, reading: Reading, variables: Mapping[str, str]) -> dict[str, str]:
        """Run a refresh command; return the variables it gives, which are none but for :data:`EXPORT`."""
        assert reading.value is not None
        shown = f"{name} ({reading.value.provenance})"
        try:
            finished = command.run(
                (*command.SHELL, reading.value.text),
                self._environment.cwd,
                variables,
                self._clock,
                deadline=REMEDY_DEADLINE,
                most=_LONGEST_EXPORT,
                line=None if name == EXPORT else self._say,  # what the export prints is a credential
            )
        except (OSError, ValueError) as error:
            raise CloudNotReady(f"{shown} could not be started ({type(error).__name__}).") from None
        if finished.code != 0:
            outcome = "was stopped" if finished.code is None else f"failed with exit code {finished.code}"
            raise CloudNotReady(f"{shown} {outcome}.{finished.said}", hint="Run that command yourself.")
        return exported(finished.output, shown) if name == EXPORT else {}


def _from_export(found: CloudIdentity, value: Value) -> CloudIdentity:
    note = f"only programs that know {EXPORT} will find these credentials"
    return replace(found, source=f"{EXPORT} ({value.provenance})", notes=(*found.notes, note))


def exported(output: bytes, name: str) -> dict[str, str]:
    """Return the variables for what ``awsCredentialExport`` printed: ``{"Credentials": {"AccessKeyId": …}}``.

    Raises:
        CloudNotReady: it printed something else.
    """
    try:
        found = json.loads(output)["Credentials"]
        return {variable: _plain(found[field]) for variable, field in _EXPORTED.items()}
    except (ValueError, KeyError, TypeError, RecursionError):
        raise CloudNotReady(
            f"{name} did not print AWS credentials.",
            hint='It must print {"Credentials": {"AccessKeyId", "SecretAccessKey", "SessionToken"}} as JSON.',
        ) from None


def _plain(value: object) -> str:
    if not isinstance(value, str) or not value.isprintable() or not value:
        raise ValueError
    return value
