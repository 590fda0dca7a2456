"""The raw frames of a z-stack, whose likelihood is climbed from sharpened planes on.

As `napari_dps.methods.dps.joint` does in a plane. Light out of focus is part of the
model, and goes back to where it comes from: none is left for an even haze.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from typing import TYPE_CHECKING

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray

from napari_dps.core import Progress, one_of
from napari_dps.core.at_once import in_tasks
from napari_dps.core.context import Context
from napari_dps.core.device import available_bytes, resolve_device
from napari_dps.core.progress import between
from napari_dps.core.tiling import GRID_PX, LEAST_TILE_PX, SHARE, Tile, equal_tiles
from napari_dps.methods.dps.climb import LEAST_LIGHT
from napari_dps.methods.dps.consistency import contrast_share
from napari_dps.methods.dps.ideal_lens import shown_series
from napari_dps.methods.dps.joint import LEAST_MODULATION
from napari_dps.methods.dps.raw_scene import (
    HAZE_SIGMA_PX,
    LEAST_PHOTONS,
    MOST_PHOTONS,
    gain_of_detail,
    on_grid,
    smoothed,
)
from napari_dps.methods.dps.recording import Recording
from napari_dps.methods.dps.target import (
    OTHER_STRIPES,
    STRENGTH_SPAN,
    TOO_LITTLE_MEMORY,
    FramesUnusable,
)
from napari_dps.methods.sim.volume_finding import equalised_volume
from napari_dps.methods.sim.wiener_tiles import FadedTiles
from napari_dps.physics.deconvolution.richardson_lucy import (
    richardson_lucy_depths_steps,
)
from napari_dps.physics.resampling import from_series
from napari_dps.physics.sim.raw_light import stripes_of
from napari_dps.physics.sim.raw_volume import RawVolume

if TYPE_CHECKING:
    import torch

DEPTH, DEPTH_EXPONENT = 33.0, 0.28
"""Iterations at one clear photon, and the power of these that they follow: on simulated
stacks of filaments and of shells in haze the best were 40 to 80 at 4, 120 to 180 at 75
to 95."""
MOST_ITERATIONS = 200
QUIET_CONTRAST, QUIET_SIGMA_PX = 0.25, 2.0
"""Contrast of expected light, over that of `contrast_share`, and the width of the
Gaussian, on the object's grid, that it is smoothed by where it is less: specks that
noise makes in haze and darkness. On these stacks likenesses rise by .1 to .5 dB in
haze, and fall by .3 dB at most at 10 photons, where filaments are faint."""
FLOOR_PERIODS = 1.9
"""Radius of an opening, in periods of the lens's cut-off: what of a first image is
wider is its floor. On these stacks likenesses rise by .1 to .3 dB, most in haze."""
OVERLAP_PX = 64
"""Of tiles, in pixels of the frames: light out of focus reaches far."""
BYTES_PER_VOXEL, BYTES_PER_FRAME_VOXEL = 600, 16
"""Memory at the peak for each voxel of a stack, and of each frame."""
_FIT_END = 95
"""Where in the whole the fit is done, in per cent."""
_TINY = 1e-6


def raw_volume_steps(
    raw: Recording,
    planes: NDArray[np.float32],
    *,
    strength: float,
    width: float,
    context: Context,
) -> Generator[Progress, None, NDArray[np.float32]]:
    """Climb the likelihood of all raw frames of a z-stack.

    x ← x · Hᵀ((y + s)/(H x + s))/Hᵀ1 with the raw frames y, their imaging model H in
    three dimensions and the light s whose shot noise is the read noise, accelerated:
    `napari_dps.physics.deconvolution.richardson_lucy`.

    Parameters
    ----------
    raw : Recording
        Frames (Z, A, P, Y, X), with the patterns found on them.
    planes : array (Z, n·Y, n·X), float32
        What to begin with: counts of emitters in focus, on a grid 2 or 4 times finer
        than the frames'.
    strength : float
        0 to 1; more iterations.
    width : float
        Width of the lateral PSF of the result over that of an ideal reconstruction.
    context : Context
        Device, measured OTF.

    Yields
    ------
    Progress

    Returns
    -------
    array (Z, 4 Y, 4 X), float32
        Counts of emitters in the plane in which they are in focus.

    Raises
    ------
    FramesUnusable
        If the frames do not agree with their patterns, or the memory does not suffice.
    """
    fit = _Fit(raw, planes, strength, context)
    found = yield from between(in_tasks(fit.steps(), fit.device), 0, _FIT_END)
    cutoff = raw.shown_per_pixel(width) / 2
    rows, columns = (4 * side for side in raw.shape)
    shown = np.empty((len(found), rows, columns), dtype=np.float32)
    for z, plane in enumerate(found):
        done = _FIT_END + (100 - _FIT_END) * z // len(found)
        yield Progress(done, 100, "Image")
        shown[z] = from_series(shown_series(plane, cutoff, 1.0), (rows, columns))
    return shown


class _Fit:
    """What the fit of tiles of a z-stack shares."""

    def __init__(
        self,
        raw: Recording,
        planes: NDArray[np.float32],
        strength: float,
        context: Context,
    ) -> None:
        import torch

        self.device = torch.device(resolve_device(context.device))
        self._raw, self._planes, self._otf = raw, planes, context.otf
        self._orders = [
            (one.order, 1 / (one.axial_period_nm or math.inf))
            for pattern in raw.patterns
            for one in pattern.orders
            if one.is_usable and pattern.phases_deg
        ]
        self._bright = 1 / equalised_volume(torch.from_numpy(raw.frames))
        self._read_light = raw.noise.read_light
        self._shown = np.zeros((2, raw.frames.shape[1]))
        self._least_light = LEAST_LIGHT * float(raw.frames.mean())
        wanted = DEPTH * math.pow(_clear_photons(raw), DEPTH_EXPONENT)
        wanted *= math.pow(STRENGTH_SPAN, 2 * strength - 1)
        self._depth = min(max(round(wanted), 2), MOST_ITERATIONS)

    def steps(self) -> Generator[Progress, None, NDArray[np.float32]]:
        """Return the object (Z, 2 Y, 2 X) of all tiles: counts of emitters in focus."""
        import torch

        shape, edge = self._raw.shape, self._edge()
        tiles = equal_tiles(shape, (edge, edge), OVERLAP_PX)
        joined = FadedTiles(shape, torch.zeros(0), (len(self._raw.frames),))
        for number, tile in enumerate(tiles):
            is_last = number == len(tiles) - 1
            fitting = one_of(self._tile(tile, is_last), number, len(tiles))
            thing = yield from fitting
            joined.add(tile, thing.cpu())
        return np.asarray(joined.image().numpy())

    def _edge(self) -> int:
        """Return the longest edge of tiles that there is memory for."""
        frames = self._raw.frames
        count = frames.shape[1] * frames.shape[2]
        each = (BYTES_PER_VOXEL + BYTES_PER_FRAME_VOXEL * count) * len(frames)
        fitting = math.isqrt(int(SHARE * available_bytes(self.device) / each))
        if fitting >= max(self._raw.shape):
            return fitting
        edge = (fitting - 2 * OVERLAP_PX) // GRID_PX * GRID_PX
        if edge < LEAST_TILE_PX:
            raise FramesUnusable(TOO_LITTLE_MEMORY)
        return edge

    def _tile(
        self, tile: Tile, is_last: bool
    ) -> Generator[Progress, None, torch.Tensor]:
        """Return the object of a tile; the last one asks if all of them show stripes.

        That is, if there is but one, before it is fitted: an object that was fitted
        explains wrong stripes, too.
        """
        import torch

        rows, columns = tile.read
        model = self._model(tile)
        frames = torch.from_numpy(self._raw.frames[..., rows, columns])
        frames = frames.to(self.device).flatten(1, 2).clamp(min=-self._read_light)
        start, floor, haze = self._split(model, self._start(tile), frames)
        yield Progress(0, 1, "Raw frames")
        if is_last and not self._agree():
            raise FramesUnusable(OTHER_STRIPES)
        climbing = richardson_lucy_depths_steps(
            frames + self._read_light,
            model,
            (self._depth,),
            start=start,
            beside=self._read_light + haze,
        )
        (thing,) = yield from climbing
        (light,) = model.views(model.extended(thing), evenly=True)
        return self._quiet(thing, light, haze.mean(dim=1)).add_(floor) / model.depth

    def _split(
        self, model: RawVolume, start: NDArray[np.float32], frames: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return what begins: an object, the floor that it stands on, and their haze.

        The floor, smooth light of the first image, stays as it is: noise would make
        specks of it. The haze (Z, A·P, Y, X) is its light in the frames, and what even
        light no part of the image explains: its background may have been subtracted.
        """
        import torch

        thing = torch.from_numpy(start).to(self.device) * model.depth
        floor = torch.from_numpy(self._floor(start)).to(self.device) * model.depth
        thing -= floor
        views = model.views(model.extended(thing))
        even = model.views(model.extended(floor), evenly=True)[0]
        seen, mean = views[0] + even, frames.mean(dim=1)
        gain = gain_of_detail(seen, mean)
        rest = smoothed(mean - gain * seen, HAZE_SIGMA_PX).clamp_(min=0)
        # Never more than there is: a pedestal of the image may be none of the frames.
        even = torch.minimum(gain * even + rest, smoothed(mean, HAZE_SIGMA_PX))
        bright = torch.from_numpy(self._bright.astype(np.float32)).to(even)
        haze = bright.flatten(1)[..., None, None] * even[:, None]
        self._compare(model, views.mul_(gain), frames, haze)
        return gain * thing, gain * floor, haze

    def _floor(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the smooth light of planes, where it is no structure."""
        radius = round(FLOOR_PERIODS * 2 / self._raw.optics.cutoff_per_pixel)
        size, sigma = 2 * radius + 1, radius / 2
        found = np.empty_like(image)
        for plane, floor in zip(image, found, strict=True):
            smooth = scipy.ndimage.gaussian_filter(plane, QUIET_SIGMA_PX)
            opened = scipy.ndimage.grey_opening(smooth, size=(size, size))
            scipy.ndimage.gaussian_filter(opened, sigma, output=floor)
        return np.minimum(found, image, out=found)

    def _model(self, tile: Tile) -> RawVolume:
        raw = self._raw
        rows, columns = tile.read
        size = rows.stop - rows.start, columns.stop - columns.start
        centre = [
            (side.start + side.stop - whole) / 2
            for side, whole in zip(tile.read, raw.shape, strict=True)
        ]
        return RawVolume(
            (len(raw.frames), *size),
            stripes_of(raw.patterns, raw.shape, raw.optics.pixel_size_nm),
            self._orders,
            self._bright,
            raw.optics,
            raw.z_step_nm,
            self.device,
            otf=self._otf,
            offset=centre,
        )

    def _compare(
        self,
        model: RawVolume,
        views: torch.Tensor,
        frames: torch.Tensor,
        haze: torch.Tensor,
    ) -> None:
        """Note how much of the stripes that an object would show the frames do show."""
        count = self._raw.frames.shape[2]
        for z, plane in enumerate(frames):
            even = model.mixed(views, z, evenly=True)
            stripes, expected = model.mixed(views, z) - even, even + haze[z]
            weighted = stripes / expected.clamp(min=self._least_light)
            both = plane - expected, stripes
            shown = [(weighted * one).sum(dim=(-2, -1)) for one in both]
            for row, one in zip(self._shown, shown, strict=True):
                row += one.cpu().double().reshape(-1, count).sum(dim=1).numpy()

    def _agree(self) -> bool:
        """Whether the frames show the stripes of each angle that has any."""
        shown, expected = self._shown
        lit = expected > 0
        return bool((shown[lit] >= LEAST_MODULATION * expected[lit]).all())

    def _quiet(
        self, thing: torch.Tensor, light: torch.Tensor, haze: torch.Tensor
    ) -> torch.Tensor:
        """Return an object that is smooth where its light is no clear structure."""
        import torch

        noise, count = self._raw.noise, self._bright[0].size
        variance = noise.variance(light + haze)
        sigma = (variance.clamp(min=_TINY * self._least_light**2) / count).sqrt()
        sigmas = (0, QUIET_SIGMA_PX, QUIET_SIGMA_PX)
        smooth = scipy.ndimage.gaussian_filter(thing.cpu().numpy(), sigmas)
        for z, plane in enumerate(thing):
            share = contrast_share(light[z], QUIET_CONTRAST * sigma[z])
            share = share.repeat_interleave(2, 0).repeat_interleave(2, 1)
            even = torch.from_numpy(smooth[z]).to(thing)
            plane.copy_(torch.lerp(even, plane, share))
        return thing

    def _start(self, tile: Tile) -> NDArray[np.float32]:
        """Return the part of the first image that a tile reads, never negative."""
        fine, shape = tile.finer(2).read, self._raw.shape
        parts = [on_grid(plane, shape)[fine] for plane in self._planes]
        return np.asarray(np.stack(parts).clip(min=0), dtype=np.float32)


def _clear_photons(raw: Recording) -> float:
    """Return photons that alone are as far above their noise as structure is.

    Light of other planes adds noise alone.
    """
    light = raw.frames.mean(axis=(1, 2))
    smooth = scipy.ndimage.gaussian_filter(light, (0, 1, 1))
    middle, bright = np.percentile(smooth, [50, 99.9])
    variance = raw.noise.variance(bright)
    photons = (bright - middle) ** 2 / variance if variance > 0 else MOST_PHOTONS
    return float(np.clip(photons, LEAST_PHOTONS, MOST_PHOTONS))
