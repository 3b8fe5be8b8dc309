"""What a running server remembers ends with the change that names it, also when the change comes while it is read."""

from collections.abc import Iterator
from typing import Any

import pytest

from keystead.server import remembered
from keystead.server.changes import Change, Changes
from keystead.server.remembered import Remembered


@pytest.fixture
def changes() -> Iterator[Changes]:
    changes = Changes()
    with remembered.remembering(changes):
        yield changes


class Truth:
    """Counts how often it is asked."""

    def __init__(self, answer: str | None = "first") -> None:
        self.answer = answer
        self.asked = 0

    def __call__(self) -> str | None:
        self.asked += 1
        return self.answer


def test_a_question_is_asked_once_until_a_change_names_its_subject(changes: Changes) -> None:
    memory, truth = Remembered[str]("client"), Truth()
    assert [memory.get("one", truth), memory.get("one", truth)] == ["first", "first"]
    changes.publish(Change("grant", "gra_1"))
    assert memory.get("one", truth) == "first"
    assert truth.asked == 1
    truth.answer = "second"
    changes.publish(Change("client", "cli_1"))
    assert memory.get("one", truth) == "second"


def test_outside_of_a_running_server_every_question_is_asked() -> None:
    memory, truth = Remembered[str]("client"), Truth()
    memory.get("one", truth)
    memory.get("one", truth)
    assert truth.asked == 2


def test_nothing_outlives_the_server_that_remembered_it() -> None:
    memory, truth = Remembered[str]("client"), Truth()
    for _ in range(2):
        with remembered.remembering(Changes()):
            memory.get("one", truth)
    assert truth.asked == 2


def test_an_answer_that_a_change_overtakes_is_not_kept(changes: Changes) -> None:
    memory, truth = Remembered[str]("client"), Truth()

    def read_and_be_overtaken() -> str | None:
        before = truth()
        changes.publish(Change("client", "cli_1"))
        return before

    assert memory.get("one", read_and_be_overtaken) == "first"
    truth.answer = "second"
    assert memory.get("one", truth) == "second"


def test_what_is_not_there_is_asked_for_each_time(changes: Changes) -> None:
    memory, truth = Remembered[str]("client"), Truth(None)
    assert memory.get("one", truth) is None
    truth.answer = "made since"
    assert memory.get("one", truth) == "made since"


def test_a_memory_that_is_full_begins_anew(changes: Changes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembered, "AT_MOST", 3)
    memory, truth = Remembered[str]("client"), Truth()
    for question in range(10):
        memory.get(question, truth)
    assert len(memory._answers) <= 3
    assert memory.get(9, truth) == "first"
    assert truth.asked == 10


def test_all_is_forgotten_when_changes_may_have_been_missed(changes: Changes) -> None:
    memory, truth = Remembered[str]("client"), Truth()
    memory.get("one", truth)
    remembered.forget()
    memory.get("one", truth)
    assert truth.asked == 2


@pytest.mark.parametrize("ended", ["client", "secret", "account"])
def test_a_running_server_takes_nothing_that_was_ended(administrator: Any, ended: str) -> None:
    from secrets import token_bytes

    from keystead.server.authorization import registry
    from keystead.server.authorization.models import AuthMethod
    from keystead.server.authorization.surroundings import now
    from keystead.server.authorization.views import endpoints
    from keystead.server.authorization.views.posted import Asked
    from keystead.server.changes import CHANGES
    from keystead.server.keys import service_accounts

    account = service_accounts.create(administrator, "deploy", now=now())
    wanted = registry.Registration(
        name="Program",
        auth_method=AuthMethod.CLIENT_SECRET_POST,
        grant_types=["client_credentials"],
        scope="models:use",
        service_account=account,
    )
    client, secret = registry.register(administrator, wanted, now(), token_bytes)
    assert secret is not None
    form = f"grant_type=client_credentials&client_id={client.client_id}&client_secret={secret.reveal()}"
    kind = "application/x-www-form-urlencoded"
    asked = Asked("/oauth/token", kind, None, None, "", "127.0.0.1", form.encode())
    with remembered.remembering(CHANGES):
        assert [endpoints.token.reply(asked).status for _ in range(2)] == [200, 200]
        if ended == "client":
            registry.disable(client, administrator, now())
        elif ended == "account":
            service_accounts.disable(account, administrator, now())
        else:
            registry.rotate_secret(client, administrator, now(), token_bytes)
            assert endpoints.token.reply(asked).status == 200, "the old one works while the new one is brought there"
            registry.end_replaced_secret(client, administrator, now())
        assert endpoints.token.reply(asked).status in {400, 401}


def test_a_running_server_signs_with_no_key_that_was_compromised(administrator: Any) -> None:
    from keystead.server.authorization import keys
    from keystead.server.authorization.surroundings import now
    from keystead.server.changes import CHANGES

    keys.signing_key(now())
    with remembered.remembering(CHANGES):
        before = keys.signing_key(now())[0]
        rotation = keys.rotate(now(), compromised=True)
        assert keys.signing_key(now())[0] == rotation.kid != before
