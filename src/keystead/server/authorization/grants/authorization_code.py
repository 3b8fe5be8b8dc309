"""The browser's code for tokens (RFC 6749 section 4.1.3, RFC 7636 section 4.5)."""

from dataclasses import replace

from keystead.server.authorization import sign_ins
from keystead.server.authorization.checks import proof
from keystead.server.authorization.grants.question import Question
from keystead.server.authorization.models import AuthorizationCode
from keystead.server.authorization.parameters import required, required_token
from keystead.server.authorization.refusals import Refusal, invalid_client, invalid_grant
from keystead.server.authorization.sign_ins import Approval, Redeemed
from keystead.wire import ids, tokens
from keystead.wire.tokens import TokenKind


def redeem(question: Question) -> Redeemed | Refusal:
    """Use the code up and begin a sign-in.

    A request that does not fit the code changes nothing, so that whoever saw the code but lacks its verifier can
    neither use nor spoil it. A second request that does fit ends the sign-in of the first (RFC 9700 section 4.5).
    """
    token = required_token(question.parameters, "code", TokenKind.AUTHORIZATION_CODE, invalid_grant)
    if question.client is None:
        raise invalid_client("The parameter client_id is missing.")
    related = AuthorizationCode.objects.select_related("client", "membership__person", "organization", "grant")
    code = related.filter(digest=tokens.digest(token)).first()
    if code is None or question.is_by_another_than(code.client):
        raise invalid_grant("The code is unknown.")
    if required(question.parameters, "redirect_uri") != code.redirect_uri:
        raise invalid_grant("The redirect_uri is not the one the code was sent to.")
    proof.verify(question.parameters, code.code_challenge)
    if code.used_at is None and code.expires_at <= question.now:
        raise invalid_grant("The code has expired.")
    if not AuthorizationCode.objects.filter(pk=code.pk, used_at=None).update(used_at=question.now):
        return _replayed(code, question)
    redeemed = sign_ins.begin(Approval(code.client, code.membership, code.scope, code), question.label, question.now)
    AuthorizationCode.objects.filter(pk=code.pk).update(grant=redeemed.grant)
    return replace(redeemed, nonce=code.nonce, key_thumbprint=code.key_thumbprint)


def _replayed(code: AuthorizationCode, question: Question) -> Refusal:
    code.refresh_from_db(fields=["grant"])
    if code.grant is not None:
        sign_ins.end(code.grant, ids.dump("client", code.client.id), "code_replayed", question.now)
    return invalid_grant("The code was used before.")
