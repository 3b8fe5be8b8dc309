"""The mail of a test: what arrived, read from the outbox that an installation without a mail server has."""

import email
import email.policy
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Mail:
    """One mail that arrived."""

    to: str
    subject: str
    text: str

    @property
    def link(self) -> str:
        """The one link with a code in it."""
        [found] = re.findall(r"http\S+#code=\w+", self.text)
        return str(found)

    @property
    def code(self) -> str:
        return self.link.partition("#code=")[2]


@dataclass(frozen=True, slots=True)
class Mailbox:
    """Everybody's mail, oldest first."""

    folder: Path

    def all(self) -> list[Mail]:
        from keystead.server.errands import ERRANDS

        assert ERRANDS.drain()
        files = sorted(self.folder.glob("outbox/*.eml"), key=lambda file: file.stat().st_mtime_ns)
        return [_read(file) for file in files]

    def only(self) -> Mail:
        [found] = self.all()
        return found

    def last(self) -> Mail:
        return self.all()[-1]


def _read(file: Path) -> Mail:
    parsed = email.message_from_bytes(file.read_bytes(), policy=email.policy.default)
    body = parsed.get_body()
    assert body is not None
    return Mail(str(parsed["To"]), str(parsed["Subject"]), str(body.get_content()))


@contextmanager
def kept(folder: Path) -> Iterator[Mailbox]:
    """Keep the mail of the block in ``folder``."""
    from django.conf import settings
    from django.test import override_settings

    folder.mkdir(exist_ok=True)
    with override_settings(KEYSTEAD=replace(settings.KEYSTEAD, data_dir=folder)):
        yield Mailbox(folder)
