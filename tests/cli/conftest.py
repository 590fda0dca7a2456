"""Small files that the commands of the tests read, and ways to run them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import tifffile
from cli_lines import told

from napari_dps import io
from napari_dps.cli import main
from napari_dps.physics.simulate import SimulationSettings, simulate


@dataclass
class Outcome:
    """What a command left: exit code and lines."""

    code: int
    out: str
    err: str

    @property
    def errors(self) -> list[str]:
        lines = self.err.splitlines()
        return [line for line in lines if line.startswith("napari-dps: error: ")]

    @property
    def told(self) -> list[str]:
        """Lines of stderr but for those that name the stage at work."""
        return told(self.err)

    @property
    def warnings(self) -> list[str]:
        lines = self.err.splitlines()
        return [line for line in lines if line.startswith("warning: ")]


@pytest.fixture
def napari_dps(capsys, monkeypatch, tmp_path):
    """Run the command line in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: object) -> Outcome:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        return Outcome(code, *capsys.readouterr())

    return call


@pytest.fixture(scope="session")
def simulation():
    settings = SimulationSettings(height_px=128, width_px=115, photons=2000, seed=3)
    return simulate(settings)


@pytest.fixture(scope="session")
def files(tmp_path_factory, simulation) -> Path:
    """Folder with a raw stack, a plain image and a time-lapse."""
    folder = tmp_path_factory.mktemp("files")
    frames = simulation.raw.data.reshape(9, 128, 115)
    tifffile.imwrite(folder / "raw.tif", frames)
    tifffile.imwrite(folder / "image.tif", frames.mean(axis=0).astype(np.float32))
    tifffile.imwrite(folder / "times.tif", np.stack([frames, frames // 2, frames]))
    io.save(simulation.raw, folder / "own.ome.tif")
    return folder
