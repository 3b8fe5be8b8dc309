"""A domain is proven by a name server's own word, or by whoever runs this server."""

import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dns.message
import dns.rcode
import dns.resolver
import dns.rrset
import pytest
from click.testing import CliRunner

from keystead.errors import ServerUnreachable

if TYPE_CHECKING:
    from keystead.server.organizations.models import Membership

pytestmark = pytest.mark.usefixtures("migrated")

NAME = "_keystead-verification.example.com"


@contextmanager
def name_server(texts: list[str], rcode: dns.rcode.Rcode = dns.rcode.NOERROR) -> Iterator[dns.resolver.Resolver]:
    """A name server on loopback that knows one name; gives a resolver that asks it alone."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            data, sock = self.request
            question = dns.message.from_wire(data)
            answer = dns.message.make_response(question)
            answer.set_rcode(rcode)
            if str(question.question[0].name) == f"{NAME}." and texts:
                quoted = [" ".join(f'"{part}"' for part in text.split("|")) for text in texts]
                answer.answer.append(dns.rrset.from_text(f"{NAME}.", 60, "IN", "TXT", *quoted))
            sock.sendto(answer.to_wire(), self.client_address)

    with socketserver.ThreadingUDPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        resolver = dns.resolver.Resolver(configure=False)
        resolver.nameservers, resolver.port = ["127.0.0.1"], server.server_address[1]
        yield resolver
        server.shutdown()
        thread.join()


def test_the_texts_of_a_record_are_read_and_joined() -> None:
    from keystead.server.sso import domains

    with name_server(["v=spf1 -all", "keystead=|abc"]) as resolver:
        assert sorted(domains.txt_records(NAME, resolver)) == ["keystead=abc", "v=spf1 -all"]


@pytest.mark.parametrize("rcode", [dns.rcode.NOERROR, dns.rcode.NXDOMAIN])
def test_a_name_without_a_record_has_no_texts(rcode: dns.rcode.Rcode) -> None:
    from keystead.server.sso import domains

    with name_server([], rcode) as resolver:
        assert domains.txt_records(NAME, resolver) == []


def test_a_name_server_that_fails_is_no_answer() -> None:
    from keystead.server.sso import domains

    with name_server([], dns.rcode.SERVFAIL) as resolver, pytest.raises(ServerUnreachable):
        domains.txt_records(NAME, resolver)


def command(directory: Path, *arguments: str) -> Any:
    from keystead.server.command import server

    return CliRunner().invoke(server, ["verify-domain", *arguments, "--data-dir", str(directory / "data")])


def test_the_operator_vouches_for_a_domain_by_command(administrator: "Membership", tmp_path: Path) -> None:
    from keystead.server.sso import domains

    domains.claim(administrator, "example.com", administrator.created_at)
    done = command(tmp_path, "example.com", "--json")

    assert done.exit_code == 0, done.exception
    assert json.loads(done.output) == {
        "schema": "keystead.domain/1",
        "domain": "example.com",
        "organization": "Example",
        "verified_by": "operator",
    }
    assert domains.belongs_to("example.com", administrator.organization)


def test_a_domain_that_nobody_or_several_claim_is_not_guessed(administrator: "Membership", tmp_path: Path) -> None:
    from keystead.server.organizations import operations as organizations
    from keystead.server.organizations.roles import Role
    from keystead.server.sso import domains

    at = administrator.created_at
    assert "No organization claims example.com" in str(command(tmp_path, "example.com").exception)
    other = organizations.add_member(
        organizations.create_organization("Other", at), administrator.person, Role.ADMIN, at
    )
    for member in (administrator, other):
        domains.claim(member, "example.com", at)
    assert "Several organizations" in str(command(tmp_path, "example.com").exception)
    assert command(tmp_path, "example.com", "--organization", "Other").output == "example.com belongs to Other.\n"
    assert "Another organization" in str(command(tmp_path, "example.com", "--organization", "Example").exception)
