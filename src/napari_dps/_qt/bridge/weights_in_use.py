"""Weights of networks that all docks use in place of the shipped ones."""

from collections.abc import Generator
from pathlib import Path

from qtpy.QtCore import QObject, Signal

from napari_dps import io
from napari_dps.core import InputError, Progress
from napari_dps.methods.denoise.weights import denoiser_weights
from napari_dps.methods.dps.by_network import weights_file
from napari_dps.nets.checkpoint import read_checked
from napari_dps.pipeline import find_stage

_FILES = {"denoise": denoiser_weights, "dps": weights_file}
"""Find the file of the weights that a stage's parameter names."""


class WeightsInUse(QObject):
    """The weights that were chosen for stages, for as long as the program runs."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._chosen: dict[str, Path] = {}

    def use(self, stage_id: str, path: Path) -> None:
        """Let a stage use the weights of a file.

        Raises
        ------
        InputError
            If they are not of its network, or cannot be read.
        """
        usual = find_stage(stage_id).parameters().weights
        wanted = read_checked(weights_of(stage_id, usual))[0].architecture
        found = read_checked(path)[0].architecture
        if found != wanted:
            raise InputError(
                f"network of {path.name}", got=found, allowed=f"{wanted}, of {stage_id}"
            )
        self._chosen[stage_id] = path
        self.changed.emit()

    def parameters(self, stage_id: str) -> dict[str, str]:
        """Return the parameter of a stage that names them; empty: the shipped ones."""
        path = self._chosen.get(stage_id)
        return {} if path is None else {"weights": str(path)}


def weights_of(stage_id: str, name: str) -> Path:
    """Return the file of the weights that the parameter of a stage names."""
    return _FILES[stage_id](name)


def export_steps(weights: Path, package: Path) -> Generator[Progress, None, str]:
    """Write weights as a package of bioimage.io; say so.

    Raises
    ------
    InputError
        If the weights cannot be read, or the extra for it is not installed.
    """
    from napari_dps.nets.bioimageio_package import write_package
    from napari_dps.nets.checkpoint import load_checkpoint

    yield Progress(0, 1, f"Exporting {weights.name}")
    with io.replacing(package) as temporary:
        write_package(load_checkpoint(weights), weights.stem, temporary)
    return f"exported: {package}"
