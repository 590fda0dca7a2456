"""A network as an ONNX file, which needs neither PyTorch nor napari-dps to be run."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import asdict
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from typing import Any

import torch

from napari_dps.core import InputError
from napari_dps.nets.checkpoint import Checkpoint
from napari_dps.nets.exchange import (
    STEP_PX,
    ExchangedNetwork,
    TensorSpec,
    sample,
    signature,
)

NEEDED = ("onnx", "onnxscript")
"""Packages of the extra ``onnx``."""
_MOST_STEPS = 4096
"""Sides of images, in steps: as a bound to the exporter, larger than any image."""


def write_onnx(checkpoint: Checkpoint, name: str, path: Path) -> None:
    """Write a network as an ONNX file.

    Inputs and outputs are at canonical sampling, as the network sees them; sides of
    images may be any multiple of `STEP_PX`. What they are stands in the metadata of the
    file, under ``napari-dps``, as JSON.

    Parameters
    ----------
    checkpoint : Checkpoint
        The network.
    name : str
        Of its weights.
    path : Path
        The ``.onnx`` file.

    Raises
    ------
    InputError
        If the extra is not installed, or the architecture cannot be exported.
    """
    if not all(map(find_spec, NEEDED)):
        raise InputError('ONNX files need the extra: pip install "napari-dps[onnx]"')
    takes, gives = signature(checkpoint.metadata)
    with _silence():
        program: Any = torch.onnx.export(
            ExchangedNetwork.of(checkpoint),
            tuple(sample(takes, checkpoint.metadata)),
            input_names=[tensor.name for tensor in takes],
            output_names=[tensor.name for tensor in gives],
            dynamic_shapes={"tensors": tuple(_free_sides(takes))},
            dynamo=True,
            verbose=False,
        )
        program.model.doc_string = f"Network {name} of napari-dps"
        program.model.metadata_props["napari-dps"] = _about(checkpoint, takes, gives)
        program.save(path, external_data=False)


def _free_sides(takes: Sequence[TensorSpec]) -> Iterator[dict[int, Any]]:
    """Return which axes of each input are free: y and x, in steps of the first's."""
    sides = {axis: torch.export.Dim(axis, min=2, max=_MOST_STEPS) for axis in "yx"}
    for tensor in takes:
        step = round(STEP_PX / tensor.scale)
        yield {
            number: step * sides[axis]
            for number, axis in enumerate(tensor.axes)
            if axis in sides
        }


def _about(
    checkpoint: Checkpoint, takes: Sequence[TensorSpec], gives: Sequence[TensorSpec]
) -> str:
    """Return what the file says of itself."""
    metadata = checkpoint.metadata
    described = {
        "version": metadata.version,
        "license": "BSD-3-Clause",
        "optics": metadata.optics,
        "weights_sha256": metadata.sha256,
        "inputs": [asdict(tensor) for tensor in takes],
        "outputs": [asdict(tensor) for tensor in gives],
    }
    return json.dumps(described)


@contextmanager
def _silence() -> Iterator[None]:
    """Keep the exporter from telling of its steps, and of packages that it misses."""
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with redirect_stdout(StringIO()):
            yield
    finally:
        log.setLevel(level)
