"""Richardson–Lucy on all raw frames of a plane at once, block by block."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_dps.core.tiling import strips
from napari_dps.methods.dps.raw_scene import RawScene
from napari_dps.physics.deconvolution.richardson_lucy import reach_along
from napari_dps.physics.sim.raw_fit import Equations, light_equations, refitted_light
from napari_dps.physics.sim.raw_light import Light
from napari_dps.physics.sim.raw_model import RawModel
from napari_dps.physics.sim.raw_plane import Block

if TYPE_CHECKING:
    import torch

Errors = NDArray[np.float64]
_NONE: Errors = np.zeros((0, 2))
LEAST_LIGHT = 0.01
"""Over the mean of the frames, that is expected everywhere: a model that is not quite
that of the frames expects none, or less, in places that are lit, whose ratio would
outweigh all others."""


class Climb:
    """An object on its way to the likeliest one; see `joint.climb_steps`.

    Parameters
    ----------
    scene : RawScene
        Frames and model; its light is fitted by `refit`.
    thing : tensor, float32, the plane's ``object_shape``
        What to begin with; it is overwritten.
    share : tensor, optional
        How much of a correction is made at each place; all by default.

    Attributes
    ----------
    scene : RawScene
    estimate : tensor, float32, the plane's ``object_shape``
        The object so far; overwritten by the next but one step.
    """

    def __init__(
        self, scene: RawScene, thing: torch.Tensor, share: torch.Tensor | None
    ) -> None:
        import torch

        self.scene, self._share = scene, share
        self._shift = scene.noise.read_light
        self._sensitivity = scene.plane.sensitivity(scene.frames)
        # In place: memory that is new costs more than what is done with it.
        self._point, self.estimate = thing, thing.clone()
        self._spare, self._change = torch.empty_like(thing), torch.zeros_like(thing)

    def refit(self, first: Light) -> None:
        """Fit the stripes to the object, which were found otherwise at first."""
        scene = self.scene

        def work(block: Block, model: RawModel) -> dict[int, Equations]:
            thing, frames = self._point[block.thing_read], scene.frames[:, *block.read]
            expected = scene.with_even(model.forward(thing), block.read)
            variance, missing = scene.variance(expected), frames - expected
            return light_equations(
                model, thing, missing, expected, variance, block.kept
            )

        plane = scene.plane
        equations = list(plane.over_blocks(work))
        plane.set_light(refitted_light(plane.light, equations, first, plane.shape))
        self._sensitivity = plane.sensitivity(scene.frames)

    def step(self, *, check: bool = False) -> bool:
        """Iterate once.

        Parameters
        ----------
        check : bool
            Whether to ask if the stripes explain the frames of each angle better than
            even light does.

        Returns
        -------
        bool
            False if they were asked and do not.
        """

        def work(block: Block, model: RawModel) -> tuple[float, float, Errors]:
            views = model.views(self._point[block.thing_read])
            errors = self._errors(block, model, views) if check else _NONE
            self._compare(block, model, views)
            correction = model.joined(views)[block.thing_kept]
            return *self._correct(correction, block), errors

        done = list(self.scene.plane.over_blocks(work))
        reach = reach_along(sum(one[0] for one in done), sum(one[1] for one in done))
        self._go_on(reach)
        errors: Errors = np.sum([one[2] for one in done], axis=0)
        return bool((errors[:, 0] < errors[:, 1]).all())

    def _compare(self, block: Block, model: RawModel, views: torch.Tensor) -> None:
        """Turn views of a block into those of its frames over what is expected."""
        frames, haze = self.scene.frames[:, *block.read], self.scene.haze[block.read]
        shift, bright = self._shift, self.scene.bright[:, None, None]
        row_bytes = frames[:, 0].numel() * frames.element_size()
        for rows in strips(frames.shape[1], row_bytes, frames.device):
            expected = model.mixed(views[:, rows]).addcmul_(haze[rows], bright)
            ratio = (frames[:, rows] + shift).clamp_(min=0)
            ratio.div_(expected.add_(shift).clamp_(min=LEAST_LIGHT))
            views[:, rows] = model.unmixed(ratio)

    def _correct(self, correction: torch.Tensor, block: Block) -> tuple[float, float]:
        """Correct the object of a block.

        Returns
        -------
        product, square : float
            Of the change and the one before it, and of that.
        """
        whole = self._sensitivity, self._point, self._change, self._spare
        sensitivity, point, change, estimate = (one[block.thing_write] for one in whole)
        share = None if self._share is None else self._share[block.thing_write]
        row_bytes = correction.shape[1] * correction.element_size()
        sums = []
        for rows in strips(len(correction), 2 * row_bytes, correction.device):
            factor = correction[rows].div_(sensitivity[rows])
            if share is not None:
                factor.sub_(1).mul_(share[rows]).add_(1)
            found = factor.mul_(point[rows]).clamp_(min=0)
            estimate[rows] = found
            step, before = found.sub_(point[rows]), change[rows]
            sums.append(((step * before).sum(), before.square().sum()))
            before.copy_(step)
        product, square = (float(sum(one)) for one in zip(*sums, strict=True))
        return product, square

    def _go_on(self, reach: float) -> None:
        """Extrapolate along the last change."""
        import torch

        self.estimate, self._spare = self._spare, self.estimate
        new, old, point = self.estimate, self._spare, self._point

        def work(block: Block, model: RawModel) -> None:
            place = block.thing_write
            ahead = torch.sub(new[place], old[place]).mul_(reach).add_(new[place])
            point[place] = ahead.clamp_(min=0)

        self.scene.plane.do_blocks(work)

    def _errors(self, block: Block, model: RawModel, views: torch.Tensor) -> Errors:
        """Return the errors of the frames, over their noise, for each angle.

        Array (A, 2): with the stripes, and with even light in their place.
        """
        scene, count = self.scene, model.light.intensities.shape[1]
        expected = scene.with_even(model.mixed(views), block.read)
        frames, variance = scene.frames[:, *block.read], scene.variance(expected)
        plain = model.mixing[:, :1, None] * views[:1]
        plain, found = scene.with_even(plain, block.read), []
        for angle in sorted({one.angle for one in model.light.stripes}):
            part = slice(angle * count, (angle + 1) * count)
            errors = [
                ((frames[part] - x) ** 2 / variance[part])[:, *block.kept]
                for x in (expected[part], plain[part])
            ]
            found.append([float(one.double().sum()) for one in errors])
        return np.array(found)
