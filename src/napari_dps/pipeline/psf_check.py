"""A look at the PSF of the first image of a run, which the optics may contradict.

The first image is what raw frames are reconstructed to, or the plain image that a run
begins with, so that no other stage decides whether a run warns.
"""

from __future__ import annotations

from collections.abc import Sequence

from napari_dps.core import ImageStack
from napari_dps.core.context import Context
from napari_dps.core.planes import planes_of
from napari_dps.pipeline.steps import Step
from napari_dps.stages.base import in_range


def check_psf(
    steps: Sequence[Step],
    number: int,
    taken: ImageStack,
    result: ImageStack,
    context: Context,
) -> None:
    """Warn where the first image of a run contradicts its optics.

    Runs that neither reconstruct nor sharpen use no PSF. Where a step takes the PSF of
    the image it tells itself.

    Parameters
    ----------
    steps : sequence of Step
        All of the run.
    number : int
        Of the step that has run.
    taken, result : ImageStack
        What it took, and gave, of the unit that stands for all.
    context : Context
        Told of a contradiction.
    """
    if not any(_makes_image(step) or step.stage.resolves_more for step in steps):
        return
    image = _first_image(steps, number, taken, result)
    if image is None or image.optics is None:
        return
    from napari_dps.methods.dps.optics import contradiction

    shown, _ = in_range(image)
    advice = ""
    for step in steps:
        if (measures := step.stage.measures_psf) is not None:
            if measures(shown, step.parameters):
                return
            advice = f"; to take the image's: {step.stage.id}.psf measured"
    if warning := contradiction(shown):
        context.warn(warning + advice)


def _makes_image(step: Step) -> bool:
    return step.stage.takes_raw and step.stage.gives == "YX"


def _first_image(
    steps: Sequence[Step], number: int, taken: ImageStack, result: ImageStack
) -> ImageStack | None:
    """Return the first image of a run as a plane, if this step took or made it."""
    if _makes_image(steps[number]):
        image = result
    elif number == 0 and not taken.is_raw:
        image = taken
    else:
        return None
    if not image.axes.startswith("Z"):
        return image
    planes = dict(planes_of(image))
    return planes[len(planes) // 2]
