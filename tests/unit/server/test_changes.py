"""Changes reach every listener until it ends its subscription."""

from keystead.server.changes import Change, Changes


def test_a_listener_hears_until_it_unsubscribes() -> None:
    changes = Changes()
    heard: list[Change] = []
    unsubscribe = changes.subscribe(heard.append)
    changes.publish(Change("api_key", "key_1"))
    unsubscribe()

    changes.publish(Change("api_key", "key_2"))

    assert heard == [Change("api_key", "key_1")]
