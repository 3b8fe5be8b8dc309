"""Whatever a machine looks like, every client's rules answer, and no answer has a value in it."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keystead.credentials import Header
from keystead.sources import SOURCES
from keystead.sources.clients import CLIENTS
from keystead.sources.clients.sight import Sight
from keystead.sources.configuration import Configuration
from keystead.testing.machine import Machine

CANARY = "canary-of-the-clients"
OTHERS = {"custom_headers", "console_key"}
PLACES = {"ANTHROPIC_CONFIG_DIR", "ANTHROPIC_PROFILE"}  # names of files, which are shown on purpose
NAMES = [name for source in SOURCES for name in source.reads if name.isupper() and name not in PLACES]
NAMES += ["ANTHROPIC_CUSTOM_HEADERS"]
TEXTS = st.sampled_from(
    ["", " ", "1", "on", CANARY, f" {CANARY}\n", f"x-api-key: {CANARY}\nAuthorization:", f"{CANARY}\u00a0", "\n"]
)
VARIABLES = st.dictionaries(st.sampled_from(NAMES), TEXTS)
DOCUMENTS = st.fixed_dictionaries(
    {"env": VARIABLES},
    optional={
        "apiKeyHelper": st.sampled_from(["", " ", CANARY]),
        "forceLoginMethod": st.sampled_from(["gateway", "console", "", 1]),
        "forceLoginOrgUUID": st.sampled_from([[], ["org"], "org"]),
    },
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    variables=VARIABLES,
    files=st.dictionaries(st.sampled_from(["managed", "local", "project", "user"]), DOCUMENTS),
    notes=st.sampled_from([None, "{", "[]", {"primaryApiKey": CANARY}, {"customApiKeyResponses": {"approved": 1}}]),
    modes=st.tuples(st.booleans(), st.booleans()),
)
def test_there_is_an_answer_without_a_value(
    tmp_path_factory: pytest.TempPathFactory,
    variables: dict[str, str],
    files: dict[str, Any],
    notes: object,
    modes: tuple[bool, bool],
) -> None:
    """Known source ids, a place for each, a reason for silence, and the canary nowhere."""
    machine = Machine(tmp_path_factory.mktemp("machine"))
    for scope, document in files.items():
        machine.settings(document, scope=scope)
    if notes is not None:
        text = notes if isinstance(notes, str) else json.dumps(notes)
        (machine.bare.home / ".claude.json").write_text(text)
    sight = Sight(Configuration.read(machine.environment(**variables)), *modes)
    known = {source.id for source in SOURCES} | OTHERS
    for client in CLIENTS:
        wire = client.rules(sight)
        sent = {source for source in (wire.authorization, wire.x_api_key) if source is not None}
        assert sent <= known
        assert sent <= wire.places.keys()
        assert (wire.reason is None) == bool(sent)
        assert wire.empty <= set(Header)
        assert CANARY not in repr(wire)
