"""The detection as raw frames show it: its OTF, and the noise of the frames."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from napari_dps.core import ImageStack, NoiseToSignal, Optics, Pattern
from napari_dps.core.context import Context
from napari_dps.physics.measured_otf import measured_in_focus
from napari_dps.physics.sim.noise import noise_to_signal
from napari_dps.physics.sim.otf_fall import otf_shown_by

if TYPE_CHECKING:
    import torch

    from napari_dps.physics.otf import Transfer


def detection_otf(
    patterns: Sequence[Pattern], optics: Optics, context: Context
) -> Transfer | None:
    """Return the OTF of a plane in focus: measured on beads, else as frames show it.

    Parameters
    ----------
    patterns : sequence of Pattern
        Found on the frames.
    optics : Optics
        The detection.
    context : Context
        Holds the measured OTF, if there is one.

    Returns
    -------
    callable or None
        From frequency over cut-off to its value; None: the ideal OTF.
    """
    if context.otf is None:
        return otf_shown_by(patterns)
    return measured_in_focus(context.otf, optics)


def noise_of_frames(
    frames: torch.Tensor, image: ImageStack, patterns: Sequence[Pattern]
) -> NoiseToSignal:
    """Measure noise over signal of one raw stack with the OTF that it shows.

    Parameters
    ----------
    frames : tensor (A, P, Y, X), float32
        Raw frames, camera offset subtracted.
    image : ImageStack
        The same; its optics and camera are used.
    patterns : sequence of Pattern
        Found on them.

    Raises
    ------
    InputError
        If the image has no optics.
    """
    optics = image.require_optics("measuring the noise of raw frames")
    return noise_to_signal(frames, optics, image.camera, otf_shown_by(patterns))
