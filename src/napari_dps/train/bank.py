"""Banks: what is simulated once for a training, kept in files and read again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Generator, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_dps.core import InputError, Progress
from napari_dps.io.replacing import replacing

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Bank:
    """Items that are drawn by number, some of them a file.

    Attributes
    ----------
    name : str
        For people: of the items, in the names of folder and files.
    draw : callable
        From consecutive numbers to the arrays of these items, by name; items lie along
        the first axis. The same numbers, the same arrays. It goes to other processes,
        so it must be picklable.
    shaped_by : mapping
        Everything but the numbers that the items depend on, as plain values: settings,
        lists of classes, hashes of files, and a version that is raised when the code
        that draws them changes. Its hash names the folder, so that a bank drawn
        otherwise is never read.
    shard : int
        Items in a file.
    rows : int
        Rows of the arrays for one item.
    """

    name: str
    draw: Callable[[range], Arrays]
    shaped_by: Mapping[str, Any]
    shard: int
    rows: int = 1

    @property
    def key(self) -> str:
        """The hash of what shapes the items, 16 hexadecimal digits."""
        # In the order of the mapping: classes are drawn by their place in it.
        text = json.dumps([self.name, self.shaped_by], allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def folder(self, root: Path) -> Path:
        """Return the folder of the bank below that of all banks."""
        return root / f"{self.name}-{self.key}"


def bank_steps(
    root: Path, bank: Bank, count: int, *, workers: int = 1
) -> Generator[Progress, None, Arrays]:
    """Draw the items of a bank, or read those that are there.

    A file is written whole or not at all, so that a drawing that was stopped goes on
    where it was, and several trainings may draw one bank at a time.

    Parameters
    ----------
    root : Path
        Folder of all banks.
    bank : Bank
        What to draw.
    count : int
        Items 0 to ``count`` − 1 are wanted.
    workers : int
        Processes that draw.

    Yields
    ------
    Progress
        After each file.

    Returns
    -------
    dict of array
        By name, ``count`` × ``bank.rows`` rows each.

    Raises
    ------
    InputError
        If a file cannot be written or read.
    """
    folder = bank.folder(root)
    spans = [
        range(start, min(start + bank.shard, count))
        for start in range(0, count, bank.shard)
    ]
    make = partial(_make_shard, folder, bank)
    for done, _ in enumerate(_mapped(make, spans, workers), 1):
        yield Progress(done, len(spans), f"Drawing {bank.name}")
    shards = [_read_shard(folder, bank, numbers) for numbers in spans]
    return {name: np.concatenate([s[name] for s in shards]) for name in shards[0]}


def _mapped(
    make: Callable[[range], None], spans: list[range], workers: int
) -> Iterator[None]:
    if workers == 1:
        yield from map(make, spans)
        return
    # A fork of a process in which torch has started threads can hang.
    with ProcessPoolExecutor(
        workers, get_context("spawn"), initializer=torch.set_num_threads, initargs=(1,)
    ) as pool:
        yield from pool.map(make, spans)


def _shard_file(folder: Path, bank: Bank, numbers: range) -> Path:
    return folder / f"{bank.name}-{numbers.start:08d}-{numbers.stop:08d}.npz"


def _existing(folder: Path, bank: Bank, numbers: range) -> Path | None:
    """Return a file that holds these items, perhaps with more after them."""
    found = sorted(folder.glob(f"{bank.name}-{numbers.start:08d}-*.npz"))
    if found and int(found[-1].stem.rpartition("-")[2]) >= numbers.stop:
        return found[-1]
    return None


def _make_shard(folder: Path, bank: Bank, numbers: range) -> None:
    if _existing(folder, bank, numbers) is not None:
        return
    arrays = bank.draw(numbers)
    with (
        replacing(_shard_file(folder, bank, numbers)) as temporary,
        temporary.open("wb") as stream,
    ):
        np.savez(stream, allow_pickle=False, **arrays)


def _read_shard(folder: Path, bank: Bank, numbers: range) -> Arrays:
    path = _existing(folder, bank, numbers) or _shard_file(folder, bank, numbers)
    try:
        with np.load(path, allow_pickle=False) as shard:
            return {n: shard[n][: len(numbers) * bank.rows] for n in shard.files}
    except (OSError, ValueError) as problem:
        raise InputError(
            f"cannot read {path}: {problem}; delete it and it is drawn anew"
        ) from problem
