"""What is measured of a run: metrics of its images, error maps of the finer ones."""

from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from napari_dps.core import ImageStack, InputError
from napari_dps.metrics.error_map import ErrorMap, error_map
from napari_dps.metrics.measure import measure
from napari_dps.pipeline import PipelineResult, first_plane, first_volume

Json = dict[str, Any]

MEASURED_AT_ONCE = 2
"""Images of a run that are measured side by side."""


def measure_result(
    result: PipelineResult,
    truth: ImageStack | None = None,
    finer_truth: ImageStack | None = None,
) -> dict[str, Json]:
    """Measure the input and every output, of a stack the first T and C, the middle Z.

    Parameters
    ----------
    result : PipelineResult
        Of the run.
    truth : ImageStack, optional
        An image (YX) to score them against.
    finer_truth : ImageStack, optional
        The same for stages whose results resolve more than SIM can.

    Returns
    -------
    dict
        Keys ``input`` (of raw frames their mean, the widefield image) and stage ids.
    """
    images, truths = {"input": result.first}, [truth]
    wholes: list[ImageStack | None] = [result.input]
    for output in result.outputs:
        stage = output.step.stage
        is_finer = stage.resolves_more and finer_truth is not None
        images[stage.id] = output.first
        truths.append(finer_truth if is_finer else truth)
        wholes.append(output.image)
    # The transforms that take most of the time leave other threads of Python alone.
    with ThreadPoolExecutor(MEASURED_AT_ONCE) as pool:
        found = pool.map(_measured, images.values(), truths, wholes)
        return dict(zip(images, found, strict=True))


def _measured(
    image: ImageStack, truth: ImageStack | None, whole: ImageStack | None
) -> Json:
    """Measure an image, and the stack that it is a plane of along z, where kept."""
    volume = None if whole is None else first_volume(whole)
    return measure(image, truth, volume=volume)


def error_maps(result: PipelineResult) -> dict[str, ErrorMap]:
    """Compare each finer image with the image that it was made of, blurred back.

    Of stages from image to image; of a stack the first T and C, the middle Z.

    Parameters
    ----------
    result : PipelineResult
        Of the run.

    Returns
    -------
    dict
        By id of the stages that give a finer grid. One whose image or input is
        constant has no map.
    """
    inputs = [result.first, *(output.first for output in result.outputs)]
    maps = {}
    for image, output in zip(inputs, result.outputs, strict=False):
        stage = output.step.stage
        if stage.takes == stage.gives and output.first.shape[-2:] > image.shape[-2:]:
            with contextlib.suppress(InputError):
                maps[stage.id] = error_map(
                    first_plane(output.first), first_plane(image)
                )
    return maps
