"""What a dock takes as its input, what runs on it, and what keeps Run from a click."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_dps._qt.bridge.layers import axes_of, role_of, stages_behind, why_not
from napari_dps.core import ImageStack, StageParameters, is_raw
from napari_dps.pipeline import choose_steps, suited_stages
from napari_dps.stages import STAGES


@dataclass(frozen=True)
class RunInput:
    """What the stages of a dock take.

    Attributes
    ----------
    takes : tuple of str
        Axes of the smallest units that are welcome: "APYX", "YX", or both.
    needs_optics : bool
        Whether NA, emission wavelength and pixel size must be set.
    stage_id : str
        The stage of the dock; empty for a dock of several.
    """

    takes: tuple[str, ...]
    needs_optics: bool
    stage_id: str = ""

    @property
    def takes_raw(self) -> bool:
        """Whether raw SIM frames are welcome."""
        return any(is_raw(takes) for takes in self.takes)

    @property
    def may_be_raw_or_not(self) -> bool:
        """Whether raw SIM frames and other images are welcome alike."""
        return len(self.takes) > 1

    def why_not(self, layer: Any) -> str:
        """Say why a layer cannot be the input; empty if it can.

        If no unit fits, the reason of the last one.
        """
        reasons = [why_not(layer, takes) for takes in self.takes]
        return reasons[-1] if all(reasons) else ""

    def rank(self, layer: Any) -> int | None:
        """Say how well a layer suits as input, by its history; None: not unasked.

        No truth, map or hidden layer; nothing that this stage or a later one has made;
        of the others that which has come farthest.
        """
        if role_of(layer) or not layer.visible:
            return None
        order = [stage.id for stage in STAGES]
        done = [order.index(name) for name in stages_behind(layer) if name in order]
        farthest = max(done, default=-1)
        if self.stage_id in order and farthest >= order.index(self.stage_id):
            return None
        return farthest

    def sees_raw(self, layer: Any, *, as_frames: bool) -> bool:
        """Whether the stages will see a layer as raw SIM frames.

        Parameters
        ----------
        layer : Image or None
            The input.
        as_frames : bool
            Whether the person has said so of a layer that does not name its axes.
        """
        return layer is not None and (is_raw(axes_of(layer)) or as_frames)

    def why_not_run(self, layer: Any, missing: Sequence[str]) -> str:
        """Say what has to be done before a run; empty if nothing has.

        Parameters
        ----------
        layer : Image or None
            The input that is chosen.
        missing : sequence of str
            Titles of the optics that are not set.
        """
        if layer is None:
            wanted = "raw SIM frames" if self.takes_raw else "an image"
            return f"Open {wanted}, or File ▸ Open Sample ▸ Denoise-DPS."
        if self.needs_optics and missing:
            return f"Set the microscope: {', '.join(missing)}."
        return ""


def stages_done(layer: Any) -> frozenset[str]:
    """Return the ids of the stages that made a layer; empty for no layer."""
    return frozenset() if layer is None else frozenset(stages_behind(layer))


def choose_stages(
    ticked: Collection[str],
    parameters: Callable[[str], StageParameters],
    *,
    is_raw: bool,
    done: Collection[str] = (),
) -> dict[str, StageParameters]:
    """Return parameters of the stages that an image is meant for, in order.

    Parameters
    ----------
    ticked : collection of str
        Ids; stages for raw frames are left out of other images.
    parameters : callable
        Returns the parameters of a stage; asked only for those that run.
    is_raw : bool
        Whether the image is a stack of raw SIM frames.
    done : collection of str
        Ids of the stages that made the image.

    Raises
    ------
    InputError
        If the stages do not follow one another, or none is left.
    """
    names = suited_stages(ticked, raw=is_raw, done=done)
    chosen = {name: parameters(name) for name in names}
    axes = "APYX" if is_raw else "YX"
    # The pipeline is asked with a stack of one pixel: nothing is read.
    stack = ImageStack(np.zeros((1,) * len(axes), np.float32), axes)
    choose_steps(stack, names, chosen)
    return chosen
