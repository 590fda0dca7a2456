"""A dask cluster, watched: when its scheduler or all its workers are gone, and why."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from napari_dps.core.errors import Failure

if TYPE_CHECKING:
    import distributed

WITHOUT_S = 60
"""How long a cluster may be without workers, which nannies and queues start anew."""
_SILENT_S = 20
"""How long its scheduler may be silent."""

_log = logging.getLogger(__name__)


def gone(reason: str) -> Failure:
    """Return the failure of inputs that a cluster has not finished."""
    return Failure(
        f"{reason}; what is done is kept: start the cluster again and resume",
        kind="cluster",
        fields=("resume",),
    )


class Cluster:
    """The workers of a scheduler, of which any may be lost.

    Parameters
    ----------
    client : distributed.Client
        Of the scheduler.
    """

    def __init__(self, client: distributed.Client) -> None:
        self._client = client
        self._answered = self._worked = time.monotonic()
        self._has_worked = False

    def threads(self) -> int:
        """Return how many tasks its workers can do at once."""
        count = self._ask()
        now = time.monotonic()
        if count is not None:
            self._answered = now
        if count or not self._has_worked:
            # Before the first worker comes, a queue may take its time.
            self._worked = now
            self._has_worked = bool(count)
        return count or 0

    def failure(self) -> Failure | None:
        """Return why nothing more is to be waited for; None if something is."""
        now = time.monotonic()
        if self._client.status == "closed" or now - self._answered > _SILENT_S:
            return gone("the scheduler of the cluster is gone")
        if now - self._worked > WITHOUT_S:
            return gone(f"the cluster has had no worker for {WITHOUT_S} s")
        return None

    def _ask(self) -> int | None:
        if self._client.status != "running":
            return None
        try:
            return int(sum(self._client.nthreads().values()))
        except Exception as problem:  # noqa: BLE001 - said by what follows from it
            _log.debug("the scheduler does not answer", exc_info=problem)
            return None


@contextmanager
def quiet() -> Iterator[None]:
    """Keep what dask logs of a cluster that is gone for those who ask for it."""
    logs = [logging.getLogger(name) for name in ("distributed", "distributed.client")]
    before = [log.level for log in logs]
    if not _log.isEnabledFor(logging.DEBUG):
        for log in logs:
            log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for log, level in zip(logs, before, strict=True):
            log.setLevel(level)


def addresses(address: str) -> str:
    """Say what addresses of a scheduler look like, after one that leads to none.

    Examples
    --------
    >>> addresses("localhost")
    'the address of one, tcp://HOST:PORT'
    """
    if address.startswith("tls://"):
        return (
            "tls:// with certificates in the settings of dask: distributed.comm.tls "
            "(ca-file, client.cert, client.key), as for the scheduler"
        )
    return "the address of one, tcp://HOST:PORT"
