"""Whether the credentials that are set can be sent as they are (R-29)."""

from collections.abc import Iterator

from keystead.cli.doctor.finding import Finding, Ground, Weight
from keystead.cli.doctor.settings import SECRETS
from keystead.credentials.lint import clean
from keystead.errors import KeysteadError, MalformedSecret
from keystead.sources.candidate import CandidateState
from keystead.sources.configuration import Value


def look(ground: Ground) -> Iterator[Finding]:
    """Check each value that counts; then name what else is broken in the table."""
    said = set()
    for name in SECRETS:
        try:
            value = ground.configuration.variable(name).value
        except KeysteadError:  # the check of settings files says it
            continue
        if value is not None:
            for finding in _value(name, value):
                said.add(finding.message)
                yield finding
    for candidate in ground.resolution.considered:
        error = candidate.error
        if (
            candidate.state is CandidateState.BROKEN
            and isinstance(error, MalformedSecret)
            and error.message not in said
        ):
            yield Finding(Weight.PROBLEM, error.message, str(candidate.provenance or candidate.title), error.hint)


def _value(name: str, value: Value) -> Iterator[Finding]:
    try:
        clean(value.text, value.name)
    except MalformedSecret as error:
        fix = error.hint
        if value.text.strip() and _sendable(value.text.strip()):
            trim = f'export {name}="$(printf %s "${name}" | tr -d \'[:space:]\')"'
            fix = f"Only the white space around it is wrong. Run: {trim}"
        yield Finding(Weight.PROBLEM, error.message, str(value.provenance), fix)


def _sendable(text: str) -> bool:
    try:
        clean(text, "it")
    except MalformedSecret:
        return False
    return True
