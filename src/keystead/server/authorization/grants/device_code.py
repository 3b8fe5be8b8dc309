"""A device's poll (RFC 8628 sections 3.4 and 3.5)."""

from datetime import timedelta

from keystead.server.authorization import lifetimes, sign_ins
from keystead.server.authorization.grants.question import Question
from keystead.server.authorization.models import DeviceCode
from keystead.server.authorization.parameters import required_token
from keystead.server.authorization.refusals import Refusal, invalid_grant
from keystead.server.authorization.sign_ins import Approval, Redeemed
from keystead.wire import tokens
from keystead.wire.tokens import TokenKind


def redeem(question: Question) -> Redeemed | Refusal:
    """Begin a sign-in once somebody has approved the device; the code works once."""
    token = required_token(question.parameters, "device_code", TokenKind.DEVICE_CODE, invalid_grant)
    related = DeviceCode.objects.select_related("client", "membership__person", "membership__organization")
    code = related.filter(digest=tokens.digest(token)).first()
    if code is None or question.is_by_another_than(code.client):
        raise invalid_grant("The device_code is unknown.")
    if code.used_at is not None:
        raise invalid_grant("The device_code was used before.")
    if code.expires_at <= question.now:
        raise Refusal("expired_token", "Nobody approved the device in time.")
    if code.denied_at is not None:
        raise Refusal("access_denied", "The request was denied.")
    if code.membership is None:
        return _wait(code, question)
    if not DeviceCode.objects.filter(pk=code.pk, used_at=None).update(used_at=question.now):
        raise invalid_grant("The device_code was used before.")
    return sign_ins.begin(Approval(code.client, code.membership, code.scope, code), code.label, question.now)


def _wait(code: DeviceCode, question: Question) -> Refusal:
    """Remember the poll, and slow a device down that polls faster than it was told."""
    row = DeviceCode.objects.filter(pk=code.pk)
    last = code.last_polled_at
    if last is not None and question.now - last + lifetimes.POLL_GRACE < timedelta(seconds=code.interval):
        interval = code.interval + lifetimes.POLL_INTERVAL
        row.update(last_polled_at=question.now, interval=interval)
        return Refusal("slow_down", f"Poll every {interval} seconds.")
    row.update(last_polled_at=question.now)
    return Refusal("authorization_pending", "Nobody has approved the device yet.")
