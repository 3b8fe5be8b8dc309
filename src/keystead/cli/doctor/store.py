"""Whether what Keystead keeps can be read: record, generations, keyring (R-08, R-18). ``store fsck`` repairs it."""

from collections.abc import Iterator

from keystead.cli.doctor.finding import Finding, Ground, Weight
from keystead.stores import health
from keystead.stores.kept import RecordStore


def look(ground: Ground) -> Iterator[Finding]:
    """Examine the store in use; modes and leftovers are the business of the check before."""
    store, environment = ground.surroundings.store, ground.environment
    if not isinstance(store, RecordStore) or not environment.state_dir.exists():
        return
    for found in health.damage(environment.state_dir, store, environment.platform):
        fix = "Run: keystead store fsck --fix" if found.repair is not None else found.fix
        yield Finding(Weight.PROBLEM, found.what, store.location, fix)
