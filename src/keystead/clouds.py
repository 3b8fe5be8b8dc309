"""Prove a cloud's credentials before the first request: asked once for all processes, repaired when a setting says how.

The shape is that of :mod:`keystead.refresher`: look, lock, look again, ask, keep, release. What is kept is who the
cloud takes this machine for and until when. A bearer token is kept only when it was fetched to be sent; the keys of
AWS stay with its SDK, which signs.
"""

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from keystead.clock import Clock
from keystead.credentials import Header
from keystead.credentials.cloud import CloudIdentity, CloudToken, Unsigned
from keystead.credentials.lint import clean
from keystead.drivers import cloud as driver
from keystead.drivers import command
from keystead.environment import Environment
from keystead.errors import CloudNotReady, CredentialRejected, StoreUnavailable, UnsupportedCredential
from keystead.secret import Secret
from keystead.sources import cloud as switches
from keystead.sources import cloud_route
from keystead.sources.cloud import CLOUDS, Cloud
from keystead.sources.cloud_route import Route
from keystead.sources.configuration import Configuration, Reading, Value
from keystead.stores.cloud_cache import IDENTITY, TOKEN, Answer, CloudCache, Kind

LIFETIME: Final = 300.0
"""Seconds for which an answer counts."""
TOKEN_LIFETIME: Final = 3600.0
"""Seconds for which a token counts that does not say when it ends."""
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


@dataclass(frozen=True, slots=True)
class Opening:
    """What requests through a cloud need.

    Attributes:
        identity: who it takes this machine for.
        secret: a key or a token; None where each request is signed, or a proxy does what is needed.
        header: the one header that ``secret`` goes into.
        service: by which name AWS knows the service in a signature; None where nothing is signed.
    """

    identity: CloudIdentity
    route: Route
    secret: Secret | None = None
    header: Header | None = None
    service: str | None = None


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
        began = self._clock.now()
        oldest = began if fresh else began - LIFETIME
        cache = self._cache(cloud, variables, IDENTITY)

        def ask() -> CloudIdentity:
            found, export = self._ask(cloud, configuration, variables, self._chain)
            return found if export is None else _from_export(found, export)

        return self._once(cache, lambda: cache.load(oldest), ask, began)

    def token(self, name: str, *, rejected: Secret | None = None) -> CloudToken:
        """Return a bearer token of a cloud that gives one, and whose it is: kept until it ends, fetched once for all.

        Args:
            name: id of the cloud: ``vertex`` or ``foundry``.
            rejected: one that the cloud has refused although it had not ended.

        Raises:
            UnsupportedCredential: its SDK is not installed.
            KeysteadError: as :meth:`prove`.
        """
        cloud, configuration = CLOUDS[name], Configuration.read(self._environment)
        variables = self._variables(cloud, configuration)
        began = self._clock.now()
        cache = self._cache(cloud, variables, TOKEN)

        def kept() -> CloudToken | None:
            found = cache.load(began - TOKEN_LIFETIME)
            return None if found is None or found.secret == rejected else found

        def ask() -> CloudToken:
            found, _ = self._ask(cloud, configuration, variables, self._fetch)
            with suppress(StoreUnavailable):  # who it is counts for every other question as well
                self._cache(cloud, variables, IDENTITY).save(found.identity)
            return found

        return self._once(cache, kept, ask, began)

    def tokenless(self, name: str) -> str | None:
        """Return why there is no token for requests through a cloud, as a clause; None when there is one."""
        cloud, configuration = CLOUDS[name], Configuration.read(self._environment)
        if switches.on(configuration.variable(cloud.skip).value):
            return f"a proxy adds the credentials ({cloud.skip})"
        key = configuration.variable(cloud.key).value if cloud.key else None
        return "each request is signed with AWS keys" if cloud.service and key is None else None

    def open(self, name: str, *, rejected: Secret | None = None) -> Opening:
        """Return what requests through a cloud need: where they go, and the key, the token, or who signs them.

        Args:
            name: id of the cloud.
            rejected: a secret that the cloud has refused.

        Raises:
            CredentialRejected: it is a key that somebody set; there is no other.
            KeysteadError: as :meth:`prove`, or region, project, resource or workspace is not named.
        """
        cloud, configuration = CLOUDS[name], Configuration.read(self._environment)
        cloud_route.check(cloud, configuration)
        skipped = switches.on(configuration.variable(cloud.skip).value)
        key = configuration.variable(cloud.key).value if cloud.key and not skipped else None
        if key is not None and rejected is not None:
            raise CredentialRejected(f"The cloud refused the key in {key.name}.", hint="Replace it, or unset it.")
        if key is None and cloud.service is None and not skipped:
            token = self.token(name, rejected=rejected)
            route = cloud_route.find(cloud, token.identity, configuration)
            return Opening(token.identity, route, token.secret, Header.AUTHORIZATION)
        identity = self.prove(name)
        route = cloud_route.find(cloud, identity, configuration)
        if key is not None:
            return Opening(identity, route, clean(key.text, key.name), cloud.key_header)
        return Opening(identity, route, service=None if skipped else cloud.service)

    def sign(self, name: str, unsigned: Unsigned) -> Mapping[str, Secret]:
        """Return the headers that sign one request for a cloud of AWS.

        Raises:
            UnsupportedCredential: its SDK is not installed.
            KeysteadError: as :meth:`prove`, which comes first.
        """
        cloud, configuration = CLOUDS[name], Configuration.read(self._environment)
        proven, variables = self.prove(name), self._variables(cloud, configuration)
        if proven.source.startswith(EXPORT):  # nothing else had any: the other remedies are not for every request
            variables |= self._remedy(EXPORT, configuration.setting(EXPORT), variables)
        return driver.sign(name, self._environment, variables, self._clock, unsigned, self._deadline)

    def _cache(self, cloud: Cloud, variables: Mapping[str, str], kind: Kind[Answer]) -> CloudCache[Answer]:
        surroundings = self._surroundings(cloud, variables)
        return CloudCache(self._environment.state_dir, cloud.id, surroundings, self._clock, kind)

    def _once(
        self, cache: CloudCache[Answer], kept: Callable[[], Answer | None], ask: Callable[[], Answer], began: float
    ) -> Answer:
        """Return what is kept, or ask and keep the answer, one process at a time."""
        found = kept()
        if found is not None:
            return found
        try:
            with cache.lock(self._patience):
                # Another process may have been told while this one waited: its answer is ours, a refusal too.
                found, refusal = kept(), cache.refusal(began)
                if refusal is not None:
                    raise refusal
                return found or _asked(ask, cache)
        except StoreUnavailable:  # nothing may be written here: then nothing is shared
            return ask()

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

    def _ask(
        self,
        cloud: Cloud,
        configuration: Configuration,
        variables: Mapping[str, str],
        chain: Callable[[Cloud, Mapping[str, str]], Answer],
    ) -> tuple[Answer, Value | None]:
        """Go through the chain; when it has nothing, through each remedy that is configured and the chain again.

        With the answer comes the :data:`EXPORT` whose credentials it is about, or None.
        """
        try:
            return chain(cloud, variables), None
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
                return chain(cloud, variables), reading.value if name == EXPORT else None
            except CloudNotReady as error:
                problem = error
        raise CloudNotReady(problem.message, hint=" ".join((problem.hint or cloud.fix, *ignored)))

    def _fetch(self, cloud: Cloud, variables: Mapping[str, str]) -> CloudToken:
        return driver.fetch(cloud.id, self._environment, variables, self._clock, self._deadline)

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


def _asked(ask: Callable[[], Answer], cache: CloudCache[Answer]) -> Answer:
    """Ask, and keep the answer."""
    try:
        answer = ask()
    except CloudNotReady as error:
        with suppress(StoreUnavailable):
            cache.save(error)
        raise
    with suppress(StoreUnavailable):
        cache.save(answer)
    return answer


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
