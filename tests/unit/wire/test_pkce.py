from keystead.secret import Secret
from keystead.wire import pkce


def test_the_challenge_is_the_one_of_rfc_7636_appendix_b() -> None:
    verifier = Secret("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")

    assert pkce.challenge(verifier) == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


def test_a_verifier_is_43_characters_of_32_random_bytes() -> None:
    asked: list[int] = []

    def random_bytes(count: int) -> bytes:
        asked.append(count)
        return bytes(range(count))

    verifier = pkce.verifier(random_bytes)

    assert (asked, len(verifier)) == ([32], 43)
