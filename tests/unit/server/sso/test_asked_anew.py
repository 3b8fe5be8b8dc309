"""Where an identity provider is to ask again who is there, and who must then have been asked."""

from typing import Any

import pytest
from forged_openid import ForgedProvider, now, query

AUTHORIZE = (
    "/oauth/authorize?response_type=code&client_id=keystead-cli&redirect_uri=http%3A%2F%2F127.0.0.1%3A4321%2Fcallback"
    f"&code_challenge={'A' * 43}&code_challenge_method=S256"
)


def reasons() -> list[Any]:
    from keystead.server.audit.models import AuditEvent

    refused = AuditEvent.objects.filter(action="connection:refuse").order_by("at", "id")
    return [event.details["reason"] for event in refused]


class TestAskedAnew:
    """Where this server had somebody asked again, an older answer of the provider's is no answer."""

    @pytest.mark.requirement("oidc core 3.1.2.1 max_age")
    def test_the_provider_is_told_to_ask_and_to_say_when_it_did(self, visit: Any) -> None:
        asked = visit.leave(again="yes")
        assert (asked["prompt"], asked["max_age"]) == ("login", "0")
        assert not {"prompt", "max_age"} & visit.leave().keys()

    @pytest.mark.requirement("oidc core 3.1.2.1 max_age")
    @pytest.mark.parametrize(
        "said",
        [now() - 90, now() - 86_400, 0, "yesterday", True, float("1e300")],
        ids=["before", "yesterday", "1970", "a word", "true", "never"],
    )
    def test_who_was_not_asked_is_not_signed_in(self, visit: Any, forged: ForgedProvider, said: Any) -> None:
        forged.said = {"auth_time": said}
        response = visit.sign_in(again="yes")
        assert (response.status_code, reasons()) == (403, ["not_asked_anew"])
        assert "did not ask anew who you are" in response.content.decode()
        assert not visit.is_signed_in

    def test_whoever_was_asked_is(self, visit: Any, forged: ForgedProvider) -> None:
        forged.said = {"auth_time": now()}
        assert visit.sign_in(again="yes", next="/account/confirmed")["Location"] == "/account/confirmed"

    def test_a_clock_that_is_a_little_behind_is_forgiven(self, visit: Any, forged: ForgedProvider) -> None:
        forged.said = {"auth_time": now() - 30}
        assert visit.sign_in(again="yes").status_code == 302

    def test_a_provider_that_does_not_say_is_believed(self, visit: Any) -> None:
        assert visit.sign_in(again="yes").status_code == 302

    def test_an_old_sign_in_there_is_as_good_as_any_where_nobody_was_to_be_asked(
        self, visit: Any, forged: ForgedProvider
    ) -> None:
        forged.said = {"auth_time": now() - 86_400}
        assert visit.sign_in().status_code == 302

    @pytest.mark.parametrize(("ago", "asked"), [(0, False), (86_400, True)])
    def test_but_it_does_not_stand_for_being_asked(
        self, visit: Any, forged: ForgedProvider, ago: int, asked: bool
    ) -> None:
        """Coming back through a provider that asks nothing must not do what the page that asks again is for."""
        forged.said = {"auth_time": now() - ago}
        visit.sign_in()
        made = visit.browser.post("/keys", {"name": "x"}, headers={"origin": "http://127.0.0.1:8420"})
        assert (b"organization again" in made.content, made.status_code == 403) == (asked, asked)

    @pytest.mark.parametrize("wish", ["prompt=login", "max_age=600"])
    def test_a_program_that_wants_a_new_sign_in_has_the_provider_asked(
        self, visit: Any, forged: ForgedProvider, wish: str
    ) -> None:
        forged.said = {"auth_time": now() - 86_400}
        visit.sign_in()
        asked = f"{AUTHORIZE}&{wish}"
        assert b"wants to be sure" in visit.browser.get(asked).content
        again = visit.browser.post(asked, {"decision": "sign_in_again"}, headers={"origin": "http://127.0.0.1:8420"})[
            "Location"
        ]
        assert again.startswith(f"/sso/{visit.connection.wire_id}?next=")
        assert not visit.is_signed_in
        away = query(visit.browser.get(again)["Location"])
        assert (away["prompt"], away["max_age"]) == ("login", "0")
        visit.provider.nonce = away["nonce"]
        assert visit.come_back(away["state"]).status_code == 403, "an older sign-in there is none"
        away = query(visit.browser.get(again)["Location"])
        visit.provider.nonce, forged.said = away["nonce"], {"auth_time": now() - 20}
        back = visit.come_back(away["state"])["Location"]
        assert b"as you?" in visit.browser.get(back).content

    def test_also_where_nobody_was_signed_in(self, visit: Any) -> None:
        there = visit.browser.get(f"{AUTHORIZE}&prompt=login")["Location"]
        wanted = query(there)["next"]
        start = visit.browser.post("/sso", {"email": "grace@example.com", "next": wanted})["Location"]
        assert query(visit.browser.get(start)["Location"])["prompt"] == "login"
