"""A network as a package of bioimage.io: weights, example, what describes them."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from napari_dps import __version__
from napari_dps.core import InputError
from napari_dps.nets.checkpoint import Checkpoint
from napari_dps.nets.exchange import (
    SIDE_PX,
    STEP_PX,
    ExchangedNetwork,
    TensorSpec,
    sample,
    signature,
)

_PAPER = (
    "Ye et al. 2024, Universal and High-Fidelity Resolution Extending for Fluorescence "
    "Microscopy Using a Single-Training Physics-Informed Sparse Neural Network"
)
_DOI = "10.34133/icomputing.0082"
_ENVIRONMENT = f"""channels: [conda-forge]
dependencies:
  - python >=3.11
  - pip
  - pip:
      - napari-dps=={__version__}
"""


def write_package(checkpoint: Checkpoint, name: str, path: Path) -> None:
    """Write a network as a package of bioimage.io (format 0.5).

    The weights are a state of PyTorch, which is read without unpickling objects; the
    architecture is that of this package, which the program that reads it needs too.
    Inputs and outputs are at canonical sampling, as the network sees them.

    Parameters
    ----------
    checkpoint : Checkpoint
        The network.
    name : str
        Of its weights.
    path : Path
        The ``.zip`` file.

    Raises
    ------
    InputError
        If the extra is not installed, or the architecture cannot be exported.
    """
    try:
        from bioimageio.spec import save_bioimageio_package
    except ImportError as problem:
        raise InputError(
            "packages of bioimage.io need the extra: "
            'pip install "napari-dps[bioimageio]"'
        ) from problem
    with tempfile.TemporaryDirectory() as folder:
        description = _describe(checkpoint, name, Path(folder))
        save_bioimageio_package(description, output_path=path)


def _describe(checkpoint: Checkpoint, name: str, folder: Path) -> Any:
    """Write the files of a package into a folder; return its description."""
    from bioimageio.spec.model import v0_5 as spec

    metadata = checkpoint.metadata
    takes, gives = signature(metadata)
    network = ExchangedNetwork.of(checkpoint)
    torch.save(network.state_dict(), folder / "weights.pt")
    inputs = sample(takes, metadata)
    with torch.inference_mode():
        outputs = network(*inputs)
    (folder / "README.md").write_text(_readme(checkpoint, name), encoding="utf-8")
    return spec.ModelDescr(
        name=f"napari-dps {name}",
        description=f"Network {name} of napari-dps, for structured illumination "
        "microscopy",
        authors=[spec.Author(name="napari-dps developers")],
        cite=[spec.CiteEntry(text=_PAPER, doi=spec.Doi(_DOI))],
        license=spec.LicenseId("BSD-3-Clause"),
        documentation=spec.FileDescr(source=folder / "README.md"),
        tags=["microscopy", "structured-illumination", "super-resolution"],
        version=metadata.version,
        inputs=_tensors(spec, takes, inputs, folder, takes[0], metadata.optics),
        outputs=_tensors(
            spec, gives, outputs, folder, takes[0], metadata.optics, is_output=True
        ),
        weights=_weights(spec, checkpoint, folder, [tensor.name for tensor in takes]),
    )


def _weights(
    spec: Any, checkpoint: Checkpoint, folder: Path, inputs: Sequence[str]
) -> Any:
    """Describe the weights, and the class that takes them."""
    architecture = spec.ArchitectureFromLibraryDescr(
        callable=ExchangedNetwork.__name__,
        import_from=ExchangedNetwork.__module__,
        kwargs={
            "architecture": checkpoint.metadata.architecture,
            "settings": checkpoint.metadata.network,
            "inputs": list(inputs),
        },
    )
    (folder / "environment.yaml").write_text(_ENVIRONMENT, encoding="utf-8")
    return spec.WeightsDescr(
        pytorch_state_dict=spec.PytorchStateDictWeightsDescr(
            source=folder / "weights.pt",
            architecture=architecture,
            pytorch_version=torch.__version__.partition("+")[0],
            dependencies=spec.FileDescr(source=folder / "environment.yaml"),
        )
    )


def _tensors(
    spec: Any,
    tensors: Sequence[TensorSpec],
    values: Sequence[Tensor],
    folder: Path,
    first: TensorSpec,
    optics: dict[str, float],
    *,
    is_output: bool = False,
) -> list[Any]:
    """Describe inputs or outputs, and write their examples."""
    kind = spec.OutputTensorDescr if is_output else spec.InputTensorDescr
    described = []
    for tensor, value in zip(tensors, values, strict=True):
        path = folder / f"{'output' if is_output else 'input'}_{tensor.name}.npy"
        np.save(path, value.numpy())
        axes = [
            _axis(spec, letter, length, tensor, first, optics, is_output=is_output)
            for letter, length in zip(tensor.axes, value.shape, strict=True)
        ]
        described.append(
            kind(
                id=spec.TensorId(tensor.name),
                description=tensor.description,
                axes=axes,
                test_tensor=spec.FileDescr(source=path),
            )
        )
    return described


def _axis(
    spec: Any,
    letter: str,
    length: int,
    tensor: TensorSpec,
    first: TensorSpec,
    optics: dict[str, float],
    *,
    is_output: bool,
) -> Any:
    """Describe an axis; y and x follow those of the first input."""
    if letter == "b":
        return spec.BatchAxis()
    if letter == "c":
        names = [spec.Identifier(f"channel{number}") for number in range(length)]
        return spec.ChannelAxis(channel_names=names)
    if letter == "n":
        index = spec.IndexOutputAxis if is_output else spec.IndexInputAxis
        return index(id=spec.AxisId("index"), size=length)
    space = spec.SpaceOutputAxis if is_output else spec.SpaceInputAxis
    if letter == "f":
        return space(id=spec.AxisId("x"), size=length)
    axis = spec.AxisId(letter)
    if tensor is first:
        size = spec.ParameterizedSize(min=SIDE_PX, step=STEP_PX)
    else:
        size = spec.SizeReference(tensor_id=spec.TensorId(first.name), axis_id=axis)
    pixel_nm = optics.get("pixel_size_nm")
    unit = "nanometer" if pixel_nm else None
    return space(id=axis, size=size, unit=unit, scale=(pixel_nm or 1) * tensor.scale)


def _readme(checkpoint: Checkpoint, name: str) -> str:
    """Return the documentation of a package."""
    metadata = checkpoint.metadata
    facts = {"optics": metadata.optics, "data": metadata.data}
    return f"""# {name}

A network of [napari-dps](https://pypi.org/project/napari-dps), version
{metadata.version}, as its stages call it: tensors at canonical sampling, full scale 1.
Resampling, scaling and what else turns the image of a microscope into these are steps
of the stage, `napari-dps run`; its documentation has the model card.

```json
{json.dumps(facts, indent=2)}
```

## Validation

Scores on classes that the training has not seen:

```json
{json.dumps(metadata.metrics, indent=2)}
```
"""
