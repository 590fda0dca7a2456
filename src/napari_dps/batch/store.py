"""Blocks of results on disk: what is done stays done, whatever happens then."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from napari_dps import io
from napari_dps.batch.records import (
    CORRECTIONS,
    RECORD,
    SHARED_LIST,
    BlockRecord,
    Description,
)
from napari_dps.core import ImageStack
from napari_dps.io import ResultFiles, replacing, writing
from napari_dps.io.lock import Lock
from napari_dps.io.owner import MARK, is_abandoned, process_mark
from napari_dps.io.replacing import shortened_name
from napari_dps.pipeline.channel_run import Tally
from napari_dps.pipeline.corrections import Corrections
from napari_dps.pipeline.plan import Places
from napari_dps.pipeline.shared import Shared
from napari_dps.pipeline.units import Index, Span

T = TypeVar("T")

_DONE = "done.json"
_SHARED, _CORRECTIONS = "shared.json", "corrections.json"
_KEY_DIGITS = 16
_NAME_BYTES = 40


@dataclass(frozen=True, eq=False)
class _StoredPlanes:
    """Reads planes of a step's result from the files of its blocks, by their number."""

    parts: tuple[io.Planes, ...]
    first: tuple[int, ...]
    check: Callable[[], None]

    def __call__(self, number: int) -> NDArray[Any]:
        """Read one plane, (1, Y, X)."""
        self.check()
        part = bisect_right(self.first, number) - 1
        return self.parts[part].read(number - self.first[part])


@dataclass(frozen=True)
class Store:
    """The blocks of one input that are done.

    Attributes
    ----------
    root : Path
        A hidden folder beside the results, named by the input, its key, and the run
        that works in it: no other run touches it as long as that goes on.
    """

    root: Path

    @classmethod
    def of(cls, files: ResultFiles, key: str, owner: str) -> Store:
        """Return the store of an input that a run fills."""
        return cls(files.folder / f"{_prefix(files)}{key[:_KEY_DIGITS]}~{owner}.part")

    def claim(self) -> None:
        """Take what an earlier run of the same key has left."""
        if not self.root.exists():
            with suppress(OSError):  # there is none, or another run has it
                _free_name(self.root).rename(self.root)

    def block(self, span: Span) -> Path:
        """Return the folder of a block."""
        return self.root / f"{span[0]:08d}"

    def has(self, span: Span) -> bool:
        """Whether a block is done."""
        return (self.block(span) / _DONE).is_file()

    def record(self, span: Span) -> BlockRecord:
        """Return what was recorded of a block that is done."""
        return RECORD.validate_json((self.block(span) / _DONE).read_bytes())

    def shared(self) -> tuple[Shared, ...] | None:
        """Return what the units share, if that has been found."""
        return self._read(_SHARED, SHARED_LIST)

    def put_shared(self, shared: Sequence[Shared]) -> None:
        """Remember what the units share."""
        self._put(_SHARED, SHARED_LIST.dump_json(tuple(shared)))

    def corrections(self) -> Corrections | None:
        """Return what is corrected of all results, if it was measured already."""
        return self._read(_CORRECTIONS, CORRECTIONS)

    def put_corrections(self, corrections: Corrections) -> None:
        """Remember what is corrected of all results."""
        self._put(_CORRECTIONS, CORRECTIONS.dump_json(corrections))

    def _read(self, name: str, kind: TypeAdapter[T]) -> T | None:
        try:
            return kind.validate_json((self.root / name).read_bytes())
        except (OSError, ValidationError):
            return None

    def _put(self, name: str, text: bytes) -> None:
        with replacing(self.root / name) as temporary:
            temporary.write_bytes(text)

    def first(self, number: int, like: Description) -> ImageStack:
        """Return the result that stands for all of a step's, with what describes it."""
        folder = self.block((0, 0))

        def read(name: str = "") -> NDArray[np.float32]:
            path = folder / f"first-{_file(number, name)}"
            return np.asarray(np.load(path, allow_pickle=False))

        maps = {name: read(name) for name in like.maps}
        return ImageStack(read(), like.axes, **like.info.to_dict(), maps=maps)

    def array(
        self,
        spans: Iterable[Span],
        number: int,
        name: str = "",
        *,
        check: Callable[[], None],
    ) -> NDArray[Any] | None:
        """Return a step's result for all blocks, lazily; None where it was not kept.

        Parameters
        ----------
        spans : iterable of (int, int)
            Of the blocks.
        number : int
            Of the step.
        name : str
            Of one of its maps; empty for the result itself.
        check : callable
            Called before each plane is read; may raise to stop.
        """
        paths = [self.block(span) / _file(number, name) for span in spans]
        if not paths[0].exists():
            return None
        parts = tuple(
            io.mapped(np.load(path, mmap_mode="r", allow_pickle=False))
            for path in paths
        )
        counts = [part.index.size for part in parts]
        *lead, height, width = parts[0].shape
        if len(parts) > 1:  # blocks of time points, which lead
            lead[0] = sum(part.shape[0] for part in parts)
        first = tuple(accumulate(counts, initial=0))[:-1]
        read = _StoredPlanes(parts, first, check)
        index = np.arange(sum(counts)).reshape(lead)
        planes = io.Planes(read, index, (height, width), parts[0].dtype)
        return cast(NDArray[Any], planes)

    def zarr(self, name: str) -> Path:
        """Return the folder of the OME-Zarr that blocks are written into."""
        return self.root / f"{name}.zarr"

    def put_zarr(
        self, number: int, stack_like: ImageStack, path: Path, name: str = ""
    ) -> None:
        """Give the OME-Zarr of a step its final name, if there is one.

        Parameters
        ----------
        number, name
            As for `array`.
        stack_like : ImageStack
            As `napari_dps.io.ZarrBlocks.finish` takes it.
        path : Path
            Its name.
        """
        folder = self.zarr(Path(_file(number, name)).stem)
        # It is gone if a run was interrupted right after it had got its name.
        if folder.exists():
            io.ZarrBlocks.finish(folder, path, stack_like)

    def remove(self) -> None:
        """Remove all of it."""
        shutil.rmtree(self.root, ignore_errors=True)


def new_owner() -> str:
    """Return a name for a run that no other run has."""
    return f"{process_mark()}-{secrets.token_hex(4)}"


def stored(files: ResultFiles, owner: str) -> Store | None:
    """Return the store that a run has of an input, if there is one."""
    return next((Store(path) for path, of in _roots(files) if of == owner), None)


def release(files: ResultFiles, owner: str = "") -> None:
    """Leave the blocks of an input to the next run.

    Parameters
    ----------
    files : ResultFiles
        Of the input.
    owner : str
        The run whose they are; empty for all runs that were killed.
    """
    for path, of in _roots(files):
        if of and (of == owner if owner else _is_gone(path, of)):
            try:
                path.rename(_free_name(path))
            except OSError:  # there are some already
                shutil.rmtree(path, ignore_errors=True)


def remove_left(files: ResultFiles) -> None:
    """Remove blocks of an input that no run works on."""
    for path, of in _roots(files):
        if not of:
            shutil.rmtree(path, ignore_errors=True)


def lock_of(files: ResultFiles) -> Lock:
    """Return the lock of an input's results: one run at a time gives them names."""
    return Lock(files.folder / f"{_prefix(files)}lock")


def _free_name(root: Path) -> Path:
    return root.with_name(f"{root.name.rpartition('~')[0]}.part")


def _is_gone(path: Path, owner: str) -> bool:
    return is_abandoned(path, owner.rpartition("-")[0])


def _roots(files: ResultFiles) -> list[tuple[Path, str]]:
    """Return the stores of an input, and the run that works in each; empty if none."""
    pattern = re.compile(
        f"{re.escape(_prefix(files))}[0-9a-f]{{{_KEY_DIGITS}}}"
        rf"(~(?P<owner>{MARK}-[0-9a-f]+))?\.part",
        re.DOTALL,
    )
    try:
        names = os.listdir(files.folder)
    except OSError:
        return []
    found = ((name, pattern.fullmatch(name)) for name in names)
    return [(files.folder / name, m["owner"] or "") for name, m in found if m]


def _prefix(files: ResultFiles) -> str:
    """Begin the name of a store: cut, so that it fits, and yet of this input only."""
    name = files.name.encode("utf-8", "surrogateescape")
    begin = shortened_name(files.name, _NAME_BYTES)
    return f".{begin}~{hashlib.sha256(name).hexdigest()[:8]}~"


def _file(number: int, name: str = "") -> str:
    return f"{number}{name and '-' + name}.npy"


@dataclass
class BlockWriter:
    """Writes the results of one block; they count when all are there.

    Attributes
    ----------
    store : Store
        Where it goes.
    span : (int, int)
        Time points of the block.
    leading : str
        Leading axes of the whole stack.
    kept : set of int
        Numbers of the steps whose pixels are kept.
    places : sequence of Places
        Where the results of each step lie along them.
    as_zarr : bool
        Write the pixels straight into the OME-Zarr that they end in.
    """

    store: Store
    span: Span
    leading: str
    kept: set[int]
    places: Sequence[Places]
    as_zarr: bool = False
    _folder: Path = field(init=False)
    _firsts: dict[int, list[Description]] = field(default_factory=dict)
    _written: dict[Path, tuple[int, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Make a folder that no other writer uses."""
        name = f"{self.span[0]:08d}.{os.getpid()}.{secrets.token_hex(4)}"
        self._folder = self.store.root / name
        with writing(self.store.root):
            self._folder.mkdir(parents=True)

    def keep(self, number: int, index: Index, image: ImageStack) -> None:
        """Take a step's result for a unit."""
        with writing(self.store.root):
            channel = self.places[number].firsts.get(index)
            if channel is not None:
                self._firsts.setdefault(number, []).append(
                    Description(image.axes, image.info, tuple(image.maps))
                )
                first = {"": image.data, **image.maps} if channel == 0 else {}
                for name, values in first.items():
                    np.save(self._folder / f"first-{_file(number, name)}", values)
            if number in self.kept:
                self._put(number, "", index, image.data, image.axes)
                for name, values in image.maps.items():
                    self._put(number, name, index, values, image.axes)

    def finish(self, tallies: list[Tally]) -> None:
        """Record that the block is done; of two writers the first one wins."""
        firsts = [self._firsts[number] for number in sorted(self._firsts)]
        record = RECORD.dump_json(BlockRecord(tallies, firsts))
        for path, (number, axes) in self._written.items() if self.as_zarr else ():
            self._move_into_zarr(path, number, axes)
        with writing(self.store.root):
            (self._folder / _DONE).write_bytes(record)
            try:
                self._folder.rename(self.store.block(self.span))
            except OSError:
                if not self.store.has(self.span):
                    raise

    def remove(self) -> None:
        """Remove a block that does not come to its end, and a store without blocks."""
        shutil.rmtree(self._folder, ignore_errors=True)
        with suppress(OSError):
            self.store.root.rmdir()

    def _move_into_zarr(self, path: Path, number: int, axes: str) -> None:
        """Write the pixels of a file into the OME-Zarr of all blocks."""
        block = np.load(path, mmap_mode="r", allow_pickle=False)
        leading = self.places[number].shape
        folder = self.store.zarr(path.stem)
        io.ZarrBlocks.create(
            folder,
            shape=leading + block.shape[len(leading) :],
            axes=self.leading + axes,
            dtype=block.dtype,
        )
        starts_late = self.leading.startswith("T")
        io.ZarrBlocks.write(folder, self.span[0] if starts_late else 0, block)
        del block
        path.unlink()

    def _put(
        self, number: int, name: str, index: Index, data: NDArray[Any], axes: str
    ) -> None:
        """Write a plane of a step's result, or of a map of it, into its place."""
        lengths = self.places[number].shape
        shape = tuple(
            self.span[1] - self.span[0] if axis == "T" else length
            for axis, length in zip(self.leading, lengths, strict=True)
        )
        place = tuple(
            at - self.span[0] if axis == "T" else at
            for axis, at in zip(self.leading, index, strict=True)
        )
        path = self._folder / _file(number, name)
        self._written[path] = number, axes
        pixels = np.ascontiguousarray(data, dtype="<f4")
        whole = np.lib.format.open_memmap(
            path, "r+" if path.exists() else "w+", "<f4", shape + pixels.shape
        )
        flat = int(np.ravel_multi_index(place, shape)) if shape else 0
        with path.open("r+b") as file:
            # Through the map a full disk would end the process, without an error.
            file.seek(whole.offset + flat * pixels.nbytes)
            file.write(pixels.tobytes())
