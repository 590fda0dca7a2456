"""Small stacks on disk, batches over them, and what they are compared with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_dps import batch, io, pipeline
from napari_dps.core import ImageStack, Optics, finish
from napari_dps.core.context import Context
from napari_dps.physics.simulate import SimulationSettings, simulate
from napari_dps.pipeline import Settings
from napari_dps.stages.base import Stage

OPTICS = {"na": 1.4, "emission_nm": 525.0, "pixel_size_nm": 65.0}
RAW = {"angles": 3, "phases": 3, "camera_offset": 100.0}
SIZES = {"T": 5, "C": 2, "Z": 2}


def settings(stages: str, **tables: Any) -> Settings:
    """Return settings of stages in order; other tables as in a TOML file."""
    pipeline_table = {"stages": stages.split(",")}
    return Settings.from_tables({"pipeline": pipeline_table, **tables})


def raw_settings(stages: str = "reconstruct,background", **tables: Any) -> Settings:
    """Return settings for the simulated raw frames."""
    return settings(stages, **{"optics": OPTICS, "input": RAW, **tables})


def raw_stack(leading: str, *, seed: int = 1) -> ImageStack:
    """Return simulated raw frames, the same field with other noise and brightness."""
    made = simulate(SimulationSettings(height_px=64, width_px=72, photons=800, seed=3))
    lengths = tuple(SIZES[axis] for axis in leading)
    rng = np.random.default_rng(seed)
    mean = np.maximum(made.raw.data.astype(float) - 100, 0)
    dim = rng.uniform(0.6, 1, lengths)[(...,) + (None,) * 4]
    data = (100 + rng.poisson(mean * dim)).astype(np.uint16)
    return ImageStack(data, leading + "APYX", pixel_size_nm=65.0)


def images(leading: str, *, seed: int = 1) -> ImageStack:
    """Return plain images of spots on haze, no two the same."""
    lengths = tuple(SIZES[axis] for axis in leading)
    rng = np.random.default_rng(seed)
    data = rng.poisson(40, (*lengths, 40, 46)).astype(np.float32)
    data[..., 9:31:7, 8:38:7] += rng.uniform(300, 900, (*lengths, 4, 5))
    return ImageStack(data, leading + "YX", pixel_size_nm=65.0)


def in_memory(path: Path, asked: Settings) -> list[ImageStack]:
    """Return what the stages give on the whole stack at once."""
    stack = asked.with_optics(
        io.load(path, angles=asked.input.angles, phases=asked.input.phases)
    )
    steps = pipeline.choose_steps(stack, asked.stages, asked.parameters)
    running = pipeline.run(stack, steps, camera_offset=asked.input.camera_offset)
    return [output.image for output in finish(running).outputs if output.image]


def run(
    names: list[Path | str], out: Path, asked: Settings, **how: Any
) -> list[batch.Row]:
    """Run a batch to its end."""
    return finish(start(names, out, asked, **how))


def start(names: list[Path | str], out: Path, asked: Settings, **how: Any) -> Any:
    """Return the generator of a batch."""
    sources = batch.find_sources(map(str, names), out, asked)
    of_engine = {name: how.pop(name) for name in ("jobs", "scheduler") if name in how}
    return batch.run_batch(batch.Job(asked, **how), sources, **of_engine)


def results(out: Path, name: str, asked: Settings) -> list[ImageStack]:
    """Return the images that a batch has written of an input."""
    suffix = {"tiff": ".ome.tif", "zarr": ".ome.zarr"}[asked.output.format]
    return [io.load(out / f"{name}.{stage}{suffix}") for stage in asked.stages or ()]


def assert_same(found: list[ImageStack], expected: list[ImageStack]) -> None:
    """Compare pixels exactly, and all that is known of them."""
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert one.axes == other.axes
        np.testing.assert_array_equal(np.asarray(one.data), other.data)
        for name in ("pixel_size_nm", "origin_nm", "optics", "patterns"):
            assert getattr(one, name) == getattr(other, name), name
        assert one.channel_optics == other.channel_optics
        assert [e.stage for e in one.history] == [e.stage for e in other.history]


def hidden(folder: Path) -> list[Path]:
    """Return what a batch has left for another one to go on from."""
    return [path for path in folder.rglob(".*") if path.suffix == ".part"]


class Calls:
    """Counts the units that stages run on; can stop in one of them.

    Parameters
    ----------
    monkeypatch : MonkeyPatch
        Takes the count away again.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.stages: list[str] = []
        self._raise: tuple[int, BaseException] | None = None
        original = Stage.run

        def counted(
            stage: Stage[Any],
            image: ImageStack,
            parameters: Any,
            context: Context | None = None,
        ) -> Iterator[Any]:
            self.stages.append(stage.id)
            if self._raise is not None and len(self.stages) == self._raise[0]:
                raise self._raise[1]
            return (yield from original(stage, image, parameters, context))

        monkeypatch.setattr(Stage, "run", counted)

    def __len__(self) -> int:
        return len(self.stages)

    @contextmanager
    def raising(self, at: int, problem: BaseException) -> Iterator[None]:
        """Raise in the call of this number."""
        self.stages.clear()
        self._raise = at, problem
        try:
            yield
        finally:
            self._raise = None
            self.stages.clear()


def channel(stack: ImageStack, number: int, **optics: float) -> ImageStack:
    """Return a channel of a stack, with optics of its own."""
    at = stack.axes.index("C")
    return ImageStack(
        stack.data.take(number, axis=at),
        stack.axes.replace("C", ""),
        pixel_size_nm=stack.pixel_size_nm,
        optics=Optics(**{**OPTICS, **optics}),
    )
