"""Weights on disk: safetensors with a JSON file next to them, never unpickled."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from napari_dps.core import InputError
from napari_dps.core.files import read_bytes
from napari_dps.nets import architectures

if TYPE_CHECKING:
    import torch

_LARGEST_BYTES = 64 * 2**20
_LARGEST_DESCRIPTION = 2**20

ARCHITECTURES = tuple(module.name for module in iter_modules(architectures.__path__))
"""Name of each architecture: its module in `napari_dps.nets.architectures`."""


class CheckpointMetadata(BaseModel):
    """Description of a set of weights: the JSON file next to them.

    Attributes
    ----------
    format : int
        Version of this description.
    architecture : str
        One of `ARCHITECTURES`.
    network : dict
        Arguments of the class.
    rl_iterations : tuple of int
        Super-resolution: depths of the Richardson–Lucy features of the training.
    output_width : float
        Super-resolution: width of the PSF of the output, of the input's; 0 for point
        emitters.
    optics : dict
        Canonical sampling: pixel size in nm and cut-off in cycles per pixel.
    recipe, data : dict
        Settings of the training and of its data.
    metrics : dict
        Scores on held-out classes.
    version : str
        Version of napari-dps that trained it.
    sha256 : str
        Hash of the file of weights.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    architecture: str = "res_u_dbpn"
    network: dict[str, Any]
    rl_iterations: tuple[int, ...] = ()
    output_width: float = 0.0
    optics: dict[str, float]
    recipe: dict[str, Any]
    data: dict[str, Any]
    metrics: dict[str, Any]
    version: str
    sha256: str

    @field_validator("architecture")
    @classmethod
    def _is_known(cls, name: str) -> str:
        if name not in ARCHITECTURES:
            raise ValueError(f"must be one of {', '.join(ARCHITECTURES)}")
        return name


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """Weights that were checked, and their description."""

    metadata: CheckpointMetadata
    weights: dict[str, torch.Tensor]

    def network(self, device: torch.device) -> Any:
        """Build the network with these weights, ready for inference.

        Returns
        -------
        module
            Of the class of its architecture.

        Raises
        ------
        InputError
            If the weights do not fit the architecture that the description names.
        """
        import torch

        from napari_dps.nets.equivariant import as_plain

        name = f"{architectures.__name__}.{self.metadata.architecture}"
        build = import_module(name).NETWORK
        try:
            network = build(**self.metadata.network)
            network.load_state_dict(self.weights)
        except (TypeError, RuntimeError, ValueError, ArithmeticError) as problem:
            raise InputError(
                "weights do not fit the network of their description",
                got=str(problem).splitlines()[0],
            ) from problem
        as_plain(network)
        ready = network.to(device, torch.float32, memory_format=torch.channels_last)
        return ready.eval().requires_grad_(False)


def save_checkpoint(
    path: Path, weights: dict[str, torch.Tensor], description: dict[str, Any]
) -> CheckpointMetadata:
    """Write weights and their description, each complete or not at all.

    Parameters
    ----------
    path : Path
        Ends in ``.safetensors``; the description gets the same name and ``.json``.
    weights : dict of tensor
        State of the network.
    description : dict
        Fields of `CheckpointMetadata` without ``sha256``.

    Returns
    -------
    CheckpointMetadata
    """
    from safetensors.torch import save

    content = save({name: value.contiguous().cpu() for name, value in weights.items()})
    digest = hashlib.sha256(content).hexdigest()
    metadata = CheckpointMetadata(**{**description, "sha256": digest})
    text = metadata.model_dump_json(indent=2) + "\n"
    for target, data in ((path, content), (_metadata_path(path), text.encode())):
        part = target.with_name(target.name + ".part")
        part.write_bytes(data)
        part.replace(target)
    return metadata


def load_checkpoint(path: Path) -> Checkpoint:
    """Read weights that fit their description.

    Parameters
    ----------
    path : Path
        The ``.safetensors`` file.

    Returns
    -------
    Checkpoint

    Raises
    ------
    InputError
        If a file is missing, too large, not what it should be, or was changed.
    """
    from safetensors.torch import load

    metadata, content = read_checked(path)
    try:
        weights = load(content)
    except Exception as problem:
        raise InputError(
            f"{path.name} is not a safetensors file: {problem}"
        ) from problem
    return Checkpoint(metadata, weights)


def read_checked(path: Path) -> tuple[CheckpointMetadata, bytes]:
    """Read a file of weights that is the one of its description; without torch.

    Parameters
    ----------
    path : Path
        The ``.safetensors`` file.

    Returns
    -------
    metadata, content
        The description, and the bytes of the file.

    Raises
    ------
    InputError
        If a file is missing, too large, or not what it should be, or was changed.
    """
    metadata = _read_metadata(_metadata_path(path))
    content = _read(path, _LARGEST_BYTES)
    digest = hashlib.sha256(content).hexdigest()
    if digest != metadata.sha256:
        raise InputError(
            f"{path.name} is not the file that its description names: sha256",
            got=digest[:12],
            allowed=metadata.sha256[:12],
        )
    return metadata, content


def shipped_weights(name: str) -> Path:
    """Return the file of weights that come with the package.

    Parameters
    ----------
    name : str
        For example ``"dps-hybrid"``.

    Returns
    -------
    Path

    Raises
    ------
    InputError
        If there are none of that name.
    """
    folder = Path(str(files("napari_dps.nets") / "weights"))
    shipped = sorted(file.stem for file in folder.glob("*.safetensors"))
    if name not in shipped:
        raise InputError(
            "weights", got=name, allowed=", ".join(shipped) or "none shipped"
        )
    return folder / f"{name}.safetensors"


def _metadata_path(path: Path) -> Path:
    return path.with_suffix(".json")


def _read(path: Path, largest: int) -> bytes:
    try:
        return read_bytes(path, largest)
    except OSError as problem:
        reason = problem.strerror or str(problem)
        raise InputError(f"cannot read {path.name}: {reason}") from problem


def _read_metadata(path: Path) -> CheckpointMetadata:
    try:
        content = _read(path, _LARGEST_DESCRIPTION)
        return CheckpointMetadata.model_validate_json(content)
    except ValidationError as problem:
        first = problem.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        raise InputError(
            f"{path.name} does not describe weights: {place}: {first['msg']}"
        ) from problem
