"""A Secret shows itself nowhere but through reveal()."""

import copy
import json
import pickle
import traceback
from collections.abc import Callable

import pytest

from keystead.secret import REDACTED, Secret

CANARY = "canary-5f2c9d"


@pytest.mark.parametrize(
    "show",
    [
        repr,
        str,
        "{}".format,
        "{:>30}".format,
        lambda secret: f"{secret}",
        lambda secret: f"{secret!r}",
        lambda secret: "%s" % secret,  # noqa: UP031 - the old operator must redact too
        lambda secret: str([secret]),
        lambda secret: json.dumps({"key": secret}, default=str),
    ],
)
def test_no_way_of_printing_shows_the_value(show: Callable[[Secret], str]) -> None:
    assert CANARY not in show(Secret(CANARY))


def test_reveal_is_the_way_to_the_value() -> None:
    assert Secret(CANARY).reveal() == CANARY


def test_a_traceback_with_locals_shows_nothing() -> None:
    try:
        secret = Secret(CANARY)
        raise ValueError(secret)
    except ValueError as error:
        shown = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())

    assert REDACTED in shown
    assert f"'{CANARY}'" not in shown.replace("CANARY", "")


def test_json_refuses_a_secret_rather_than_writing_it() -> None:
    with pytest.raises(TypeError):
        json.dumps(Secret(CANARY))


def test_it_cannot_be_pickled() -> None:
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(Secret(CANARY))


def test_copies_are_the_same_object() -> None:
    secret = Secret(CANARY)

    assert copy.copy(secret) is secret
    assert copy.deepcopy([secret])[0] is secret


def test_equality_is_between_secrets_only() -> None:
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"


def test_it_is_not_hashable() -> None:
    with pytest.raises(TypeError):
        hash(Secret("a"))


def test_a_fingerprint_depends_on_value_and_salt_and_contains_neither() -> None:
    fingerprint = Secret(CANARY).fingerprint(b"salt")

    assert fingerprint == Secret(CANARY).fingerprint(b"salt")
    assert fingerprint != Secret(CANARY).fingerprint(b"other")
    assert fingerprint != Secret(CANARY + "x").fingerprint(b"salt")
    assert len(fingerprint) == 12
    assert CANARY not in fingerprint


def test_an_empty_secret_is_false_and_length_is_the_values() -> None:
    assert not Secret("")
    assert Secret("x")
    assert len(Secret("abc")) == 3
