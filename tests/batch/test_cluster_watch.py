"""When a cluster is given up, without one."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from napari_dps.batch import cluster
from napari_dps.batch.cluster import Cluster, addresses
from napari_dps.core.errors import Failure


@dataclass
class Client:
    """Answers as a client of dask does."""

    status: str = "running"
    workers: dict[str, int] = field(default_factory=dict)
    is_silent: bool = False

    def nthreads(self) -> dict[str, int]:
        if self.is_silent:
            raise OSError("no route")
        return self.workers


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr(cluster.time, "monotonic", lambda: now[0])
    return now


def _failure(watched: Cluster) -> Failure | None:
    watched.threads()
    return watched.failure()


def test_a_queue_is_waited_for_but_workers_that_were_there_only_a_minute(
    clock: list[float],
) -> None:
    client = Client()
    watched = Cluster(client)  # type: ignore[arg-type]
    clock[0] = 10_000
    assert _failure(watched) is None
    client.workers = {"a": 2, "b": 1}
    assert watched.threads() == 3
    client.workers = {}
    clock[0] += 59
    assert _failure(watched) is None
    client.workers = {"c": 1}
    assert _failure(watched) is None
    client.workers = {}
    clock[0] += 61
    failure = _failure(watched)
    assert failure is not None
    assert failure.kind == "cluster"
    assert "no worker for 60 s" in failure.text


def test_a_scheduler_that_is_silent_or_gone_is_given_up(clock: list[float]) -> None:
    client = Client(workers={"a": 1})
    watched = Cluster(client)  # type: ignore[arg-type]
    assert watched.threads() == 1
    client.is_silent = True
    clock[0] += 19
    assert _failure(watched) is None
    clock[0] += 2
    failure = _failure(watched)
    assert failure is not None
    assert "scheduler" in failure.text
    closed = Cluster(Client(status="closed"))  # type: ignore[arg-type]
    assert closed.failure() is not None


def test_an_address_of_tls_tells_of_certificates() -> None:
    assert "ca-file" in addresses("tls://10.0.0.1:8786")
    assert "tcp://HOST:PORT" in addresses("nonsense://")
