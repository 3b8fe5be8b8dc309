"""The pools of connections, one per upstream: made when first needed, gone when they are no longer."""

from keystead.errors import ConfigurationError
from keystead.server.gateway.ports import Limits, Upstream
from keystead.server.gateway.upstream import Pool
from keystead.server.gateway.upstreams import ADAPTERS


class Pools:
    """What :class:`~keystead.server.gateway.Gateway` keeps its upstream connections in."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._pools: dict[str, Pool] = {}

    def of(self, upstream: Upstream) -> Pool:
        """Return the pool of this upstream; one that was configured anew gets new connections.

        Raises:
            ConfigurationError: its address is not usable, or its kind cannot be asked here.
        """
        pool = self._pools.get(upstream.id)
        if pool is None or pool.upstream is not upstream:
            pool = self._renewed(pool, upstream)
        return pool

    def _renewed(self, old: Pool | None, upstream: Upstream) -> Pool:
        if old is not None and old.upstream == upstream:
            old.upstream = upstream  # read again, and still what it was
            return old
        adapter = ADAPTERS.get(upstream.kind)
        if adapter is None:
            raise ConfigurationError(
                f"An upstream of the kind {upstream.kind.value!r} does not take Messages requests.",
                hint="Choose another kind, or another upstream for these models.",
                move="administrator",
            )
        pool = self._pools[upstream.id] = Pool(upstream, self._limits, adapter)
        if old is not None:
            old.retire()
        return pool

    def sweep(self, older_than: float) -> None:
        """Close connections that were given back before ``older_than`` (loop time), and drop pools without any."""
        for name, pool in list(self._pools.items()):
            pool.close_idle(older_than)
            if pool.unused:
                del self._pools[name]

    def close(self) -> None:
        """Close every idle connection and give up those being opened."""
        for pool in self._pools.values():
            pool.close()
