"""What has ended is removed after a while; what still matters stays."""

from datetime import timedelta
from typing import Any

import pytest

DEVICE = "urn:ietf:params:oauth:grant-type:device_code"


@pytest.fixture
def tokens(program: Any, administrator: Any) -> dict[str, Any]:
    """A fresh sign-in's tokens."""
    from keystead.server.authorization import device_codes
    from keystead.server.authorization.surroundings import now

    started = program.post("/oauth/device_authorization")[1]
    waiting = device_codes.waiting(started["user_code"], now())
    assert waiting is not None
    assert device_codes.decide(waiting, device_codes.Answer(True, administrator), now())
    answer: dict[str, Any] = program.token(grant_type=DEVICE, device_code=started["device_code"])[1]
    return answer


def refresh(program: Any, token: str) -> tuple[int, dict[str, Any]]:
    answer: tuple[int, dict[str, Any]] = program.token(grant_type="refresh_token", refresh_token=token)
    return answer


def swept(clock: Any, **later: float) -> dict[str, int]:
    from keystead.server.authorization.surroundings import now
    from keystead.server.authorization.sweep import sweep

    clock.sleep(timedelta(**later).total_seconds())
    return {name: count for name, count in sweep(now()).items() if count}


def test_a_used_refresh_token_stays_while_its_reuse_must_be_noticed(
    program: Any, tokens: dict[str, Any], clock: Any
) -> None:
    current = refresh(program, tokens["refresh_token"])[1]["refresh_token"]
    assert swept(clock, days=5) == {"device_codes": 1}
    assert refresh(program, tokens["refresh_token"])[1]["error"] == "invalid_grant"
    assert refresh(program, current)[0] == 401, "the family has ended"


def test_old_generations_of_a_sign_in_that_goes_on_are_removed(
    program: Any, tokens: dict[str, Any], clock: Any
) -> None:
    from keystead.server.authorization.models import RefreshToken

    current = tokens["refresh_token"]
    for _ in range(4):
        clock.sleep(timedelta(days=20).total_seconds())
        current = refresh(program, current)[1]["refresh_token"]
    assert swept(clock, days=1)["refresh_tokens"] == 3
    assert RefreshToken.objects.count() == 2
    assert refresh(program, current)[0] == 200


def test_an_ended_sign_in_loses_its_tokens_then_itself(program: Any, tokens: dict[str, Any], clock: Any) -> None:
    from keystead.server.authorization.models import Grant

    program.post("/oauth/revoke", token=tokens["refresh_token"])
    assert swept(clock, hours=23) == {}
    assert swept(clock, hours=2) == {"device_codes": 1, "refresh_tokens": 1}
    assert Grant.objects.count() == 1
    assert swept(clock, days=30) == {"sign_ins": 1}
    assert Grant.objects.count() == 0


def test_browser_sessions_and_replaced_keys_go_too(program: Any, browser: Any, clock: Any) -> None:
    from keystead.server.authorization import keys
    from keystead.server.authorization.surroundings import now

    keys.signing_key(now())
    keys.rotate(now())
    gone = swept(clock, days=60)
    assert gone == {"signing_keys": 1, "browser_sessions": gone["browser_sessions"]}
    assert gone["browser_sessions"] >= 1


def test_many_rows_go_in_several_transactions(
    program: Any, administrator: Any, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from keystead.server.authorization import sweep

    monkeypatch.setattr(sweep, "_BATCH", 2)
    for _ in range(5):
        program.post("/oauth/device_authorization")
    assert swept(clock, days=2) == {"device_codes": 5}
