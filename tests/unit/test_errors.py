"""The error tree: exit codes follow sysexits, and an error explains itself as data."""

import pytest

from keystead import errors


def subclasses(root: type[errors.KeysteadError]) -> set[type[errors.KeysteadError]]:
    return {root}.union(*(subclasses(child) for child in root.__subclasses__()))


TREE = sorted(
    (error for error in subclasses(errors.KeysteadError) if error.__module__ == errors.__name__),
    key=lambda error: error.__name__,
)


@pytest.mark.parametrize("error", TREE)
def test_every_exit_code_is_one_of_the_documented(error: type[errors.KeysteadError]) -> None:
    assert error.exit_code in {1, 2, 4, 75, 77, 78}


def test_codes_are_unique() -> None:
    codes = [error.code for error in TREE]

    assert sorted(set(codes)) == sorted(codes)


@pytest.mark.parametrize("error", TREE)
def test_an_error_is_data(error: type[errors.KeysteadError]) -> None:
    raised = error("It happened.", hint="Do this.")

    assert raised.to_json() == {
        "code": error.code,
        "message": "It happened.",
        "hint": "Do this.",
        "move": error.default_move,
        "exit_code": error.exit_code,
    }
    assert str(raised) == "It happened."


def test_the_move_can_be_told_per_case() -> None:
    assert errors.PolicyDenied("No.", move="you").move == "you"


def test_a_rate_limit_carries_the_wait() -> None:
    assert errors.RateLimited("Slow down.", retry_after=12.5).retry_after == 12.5
