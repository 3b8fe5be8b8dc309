"""What is still secret and used by no store: damaged copies, and keyring items of directories that are gone (R-25)."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from keystead.errors import KeysteadError
from keystead.stores import choice
from keystead.stores.choice import Backend
from keystead.stores.keyring import LARGEST_ITEM, Ask, KeyringPlace, registered


@dataclass(frozen=True, slots=True)
class Orphan:
    """One thing left over.

    Attributes:
        what: one sentence, naming it.
        remove: deletes it.
    """

    what: str
    remove: Callable[[], None] = field(repr=False, compare=False)


def find(directory: Path, platform: str, ask: Ask | None) -> list[Orphan]:
    """Return what is left over of the store in ``directory``, and of all stores in the keyring.

    Args:
        directory: the state directory.
        platform: ``sys.platform``.
        ask: asks the keyring; None where none is used.

    Raises:
        StoreUnavailable: the keyring cannot be asked.
    """
    return [*_damaged(directory), *(_items(platform, ask) if ask is not None else ())]


def _damaged(directory: Path) -> Iterator[Orphan]:
    for path in sorted(directory.glob("credentials*.damaged-*.json")):
        yield Orphan(f"{path} is a damaged copy of the sign-ins.", path.unlink)


def _items(platform: str, ask: Ask) -> Iterator[Orphan]:
    for store_id, place in sorted(registered(ask).items()):
        if not _is_used(store_id, Path(place), platform):
            kept = KeyringPlace(store_id, Path(place), ask, largest=LARGEST_ITEM.get(platform))
            yield Orphan(f"{kept.location} was last written from {place}.", partial(kept.clear, but=None))


def _is_used(store_id: str, directory: Path, platform: str) -> bool:
    """Whether the directory is there and its choice still names the items; what cannot be read counts as in use."""
    try:
        chosen = choice.read(directory, platform)
    except KeysteadError:
        return True
    return chosen.remembered and chosen.backend is Backend.KEYRING and chosen.store_id == store_id
