"""One mutated input of each kind, and what is to be done with it."""

from __future__ import annotations

import hashlib
import itertools
import json
import random
import shutil
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from fuzz_guard import checked
from fuzz_mutators import Step, mutated, mutated_value
from fuzz_seeds import FRAMES, IMAGES, patterns_text, settings_toml, stack, write_otfs

from napari_dps.core import ImageStack, StackInfo
from napari_dps.io import fetch, load, load_patterns, read, read_otf, save
from napari_dps.nets.checkpoint import load_checkpoint, shipped_weights
from napari_dps.pipeline import Settings, read_tables

_numbers = itertools.count()


class Bench:
    """A folder of seeds, and one for the inputs made of them.

    Parameters
    ----------
    folder : Path
        Empty.
    """

    def __init__(self, folder: Path) -> None:
        self.seeds, self.work = folder / "seeds", folder / "work"
        for path in (self.seeds, self.work):
            path.mkdir()
        self.images: dict[str, bytes] = {}
        for name, write in IMAGES.items():
            write(self.seeds / name)
            self.images[name] = (self.seeds / name).read_bytes()
        self.zarr = Path(save(stack(), self.seeds / "own.ome.zarr"))
        self.zarr_files = sorted(
            p.relative_to(self.zarr) for p in self.zarr.rglob("*") if p.is_file()
        )
        self.settings = settings_toml()
        self.patterns = {s: patterns_text(s) for s in (".json", ".toml")}
        self.otfs = write_otfs(self.seeds)
        self.weights = shipped_weights("effective-psf").read_bytes()
        for seed in (self.zarr, self.seeds / "a.lif", self.seeds / "zlib.tif"):
            _loaded(seed, 0)  # imports take their time once
        _network(shipped_weights("effective-psf"))
        self.card = shipped_weights("effective-psf").with_suffix(".json").read_bytes()

    def new(self, suffix: str) -> Path:
        """Return a name that no input had: some readers keep what they have read."""
        return self.work / f"{next(_numbers)}{suffix}"


def image(bench: Bench, pick: int, steps: Sequence[Step]) -> bool:
    """Read a file of pixels, in one of four ways."""
    names = sorted(bench.images)
    name, other = names[pick % len(names)], names[pick // 16 % len(names)]
    content = mutated(bench.images[name], steps, bench.images[other])
    path = bench.new(f"-{name}")
    path.write_bytes(content)
    if name == "two-files.tif":
        other_path = bench.seeds / "other-two-files.tif"
        shutil.copy(other_path, path.with_name("other-two-files.tif"))
    try:
        return checked(lambda: _loaded(path, pick // 256), len(content))
    finally:
        path.unlink()


def zarr(bench: Bench, pick: int, steps: Sequence[Step]) -> bool:
    """Read an OME-Zarr of which one file is damaged or gone."""
    path = bench.new(".ome.zarr")
    shutil.copytree(bench.zarr, path)
    files = bench.zarr_files
    metadata = [file for file in files if file.name == "zarr.json"]
    chosen = (metadata if pick % 4 else files)[pick // 4 % (len(metadata) or 1)]
    content = mutated((path / chosen).read_bytes(), steps)
    (path / chosen).write_bytes(content)
    if pick % 32 == 1:
        (path / chosen).unlink()
    size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    try:
        return checked(lambda: _loaded(path, pick // 256), size)
    finally:
        shutil.rmtree(path)


def _loaded(path: Path, way: int) -> None:
    options: dict[str, Any] = {"lazy": way % 2 == 0, "warn": lambda message: None}
    if way // 2 % 2:
        options |= {"angles": 3, "phases": 3}
    if way % 8 == 7:
        np.asarray(read(path, lazy=True, allow_missing=True).data)
        return
    data = load(path, **options).data
    if data.nbytes < 2**26:
        fetch(data).sum(dtype=np.float64)


def settings(bench: Bench, pick: int, steps: Sequence[Step]) -> bool:
    """Read a file of settings."""
    path = bench.new(".toml")
    content = mutated(bench.settings, steps, bench.patterns[".toml"])
    path.write_bytes(content)
    try:
        return checked(lambda: Settings.from_tables(read_tables(path)), len(content))
    finally:
        path.unlink()


def patterns(bench: Bench, pick: int, steps: Sequence[Step]) -> bool:
    """Read a file of patterns."""
    suffix = (".json", ".toml")[pick % 2]
    path = bench.new(suffix)
    content = mutated(bench.patterns[suffix], steps)
    path.write_bytes(content)
    try:
        return checked(lambda: load_patterns(path), len(content))
    finally:
        path.unlink()


def otf(bench: Bench, pick: int, steps: Sequence[Step]) -> bool:
    """Read a file of an OTF."""
    names = sorted(bench.otfs)
    name = names[pick % len(names)]
    path = bench.new(f"-{name}")
    content = mutated(bench.otfs[name], steps)
    path.write_bytes(content)
    steps_nm = {} if pick % 4 == 3 else {"pixel_size_nm": 80.0, "z_step_nm": 125.0}
    try:
        return checked(lambda: read_otf(path, **steps_nm), len(content))
    finally:
        path.unlink()


def weights(bench: Bench, pick: int, steps: Sequence[Step]) -> bool:
    """Read weights whose description names them, and build the network."""
    path = bench.new(".safetensors")
    content, card = bench.weights, bench.card
    if pick % 2:
        card = mutated(card, steps)
    else:
        content = mutated(content, [(k, p >> 6, v) for k, p, v in steps])
        table = json.loads(card)
        table["sha256"] = hashlib.sha256(content).hexdigest()
        card = json.dumps(table).encode()
    path.write_bytes(content)
    path.with_suffix(".json").write_bytes(card)
    try:
        return checked(lambda: _network(path), len(content) + len(card))
    finally:
        path.unlink()
        path.with_suffix(".json").unlink()


def _network(path: Path) -> None:
    import torch

    load_checkpoint(path).network(torch.device("cpu"))


@cache
def _record() -> dict[str, Any]:
    return {"axes": "APYX", "camera_offset": 100.0, **stack().to_json()}


def record(bench: Bench, pick: int, steps: Sequence[Step]) -> bool:
    """Read what a layer or a file carries besides its pixels."""
    value = mutated_value(_record(), steps)
    table = value if isinstance(value, dict) else {"optics": value}
    return checked(lambda: _carried(table), 10_000)


def _carried(table: dict[str, Any]) -> ImageStack:
    valid, _ = StackInfo.read_json(table)
    return ImageStack(FRAMES.reshape(3, 3, 12, 16), "APYX", **valid)


KINDS: dict[str, Callable[[Bench, int, Sequence[Step]], bool]] = {
    "image": image,
    "zarr": zarr,
    "settings": settings,
    "patterns": patterns,
    "otf": otf,
    "weights": weights,
    "record": record,
}


def random_steps(generator: random.Random) -> list[Step]:
    """Draw as many mutations as a day of bad luck brings."""
    count = generator.choice((1, 1, 1, 2, 2, 3, 5, 8))
    return [
        (generator.randrange(64), generator.randrange(2**16), generator.randrange(1024))
        for _ in range(count)
    ]
