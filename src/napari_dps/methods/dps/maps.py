"""The maps that the stage ``dps`` leaves beside its result."""

from __future__ import annotations

from collections.abc import Collection, Generator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_dps.core import ImageStack, Progress, one_of
from napari_dps.core.progress import between
from napari_dps.methods.dps.invented import invented_steps
from napari_dps.methods.dps.methods import METHODS
from napari_dps.methods.dps.target import FramesUnusable, ImageToSharpen, Method
from napari_dps.methods.dps.uncertainty import (
    FRAME_DRAWS,
    NOISE_DRAWS,
    OF_FRAMES,
    OF_IMAGES,
    spread_steps,
    stated_uncertainty,
)

UNCERTAINTY, INVENTED = "uncertainty", "invented"
MAPS = (UNCERTAINTY, INVENTED)
_EMITTERS = ("rl", "sparse")
"""Methods whose results are emitters, seen through no lens."""
_INVENTED_RUNS = 4
"""Runs of a method that the map of what is invented takes as long as."""
_TRIED = 50
"""Where in the whole a method has tried raw frames, in per cent."""
_LEAST_TOLD = 1e-3

Image = NDArray[np.float32]
Maps = dict[str, Image]
Steps = Generator[Progress, None, tuple[Image, Maps]]


def sharpened_steps(
    name: str, target: ImageToSharpen, wanted: Collection[str]
) -> Steps:
    """Sharpen an image by a method, and map what its result is worth.

    Parameters
    ----------
    name : str
        Of one of `napari_dps.methods.dps.methods.METHODS`.
    target : ImageToSharpen
        What it works on.
    wanted : collection of str
        Those of `MAPS` that are asked for.

    Yields
    ------
    Progress

    Returns
    -------
    result : array (2Y, 2X), float32
        In the unit of the image.
    maps : dict of str to array
        Of the shape and in the unit of the result.
    """
    is_stated, is_compared = UNCERTAINTY in wanted, INVENTED in wanted
    draws = FRAME_DRAWS if target.raw_frames is not None else NOISE_DRAWS
    runs = 1 + draws * is_stated
    end = 100 * runs // (runs + _INVENTED_RUNS * is_compared)
    trying = one_of(_result_of(METHODS[name], target), 0, runs)
    result, target = yield from between(trying, 0, end)
    maps: Maps = {}
    if is_stated:
        stating = _stated(name, target, result, draws)
        maps[UNCERTAINTY] = yield from between(stating, 0, end)
    if is_compared:
        width = 0.0 if name in _EMITTERS else target.width
        seeking = invented_steps(target, result, width)
        maps[INVENTED] = yield from between(seeking, end, 100)
    return result, maps


def _result_of(
    method: Method, target: ImageToSharpen
) -> Generator[Progress, None, tuple[Image, ImageToSharpen]]:
    """Sharpen, and return what was used: without raw frames where they are no use."""
    try:
        return (yield from method(target)), target
    except FramesUnusable as problem:
        target.context.warn(str(problem))
    alone = replace(target, raw_frames=None)
    return (yield from between(method(alone), _TRIED, 100)), alone


def _stated(
    name: str, target: ImageToSharpen, result: Image, draws: int
) -> Generator[Progress, None, Image]:
    """Map the uncertainty of a result."""

    def method(moved: ImageToSharpen) -> Generator[Progress, None, Image]:
        # Frames with more noise may be no use: what that changes counts.
        return (yield from _result_of(METHODS[name], moved))[0]

    spread = yield from spread_steps(method, target, result, draws)
    optics = target.optics
    cutoff = optics.cutoff_per_pixel * optics.modulation_factor
    shares = OF_IMAGES if target.raw_frames is None else OF_FRAMES[name]
    return stated_uncertainty(spread, result, cutoff, shares)


def unsupported(result: ImageStack) -> dict[str, Any]:
    """Say how much light of a result the data do not support, for a report.

    Parameters
    ----------
    result : ImageStack
        Axes "YX" or more, with its maps.

    Returns
    -------
    dict
        Empty without the map `INVENTED`; else ``"invented"``, which holds ``share`` and
        ``lost``, light that the result shows too much and lacks, over all that it
        shows, and ``brightest_yx_px``, the pixel of the most that is too much.
    """
    found = result.maps.get(INVENTED)
    if found is None:
        return {}
    light = float(np.maximum(result.data, 0).sum(dtype=np.float64))
    shares = [
        float(np.maximum(sign * found, 0).sum(dtype=np.float64)) / light if light else 0
        for sign in (1, -1)
    ]
    place = np.unravel_index(int(np.argmax(found)), found.shape)[-2:]
    return {
        INVENTED: {
            "share": round(shares[0], 5),
            "lost": round(shares[1], 5),
            "brightest_yx_px": [int(at) for at in place],
        }
    }


def unsupported_in_words(found: Mapping[str, Any]) -> str:
    """Say what `unsupported` has found.

    Parameters
    ----------
    found : mapping
        What it returns under `INVENTED`.

    Examples
    --------
    >>> spot = {"share": 0.021, "lost": 0.004, "brightest_yx_px": [45, 120]}
    >>> for part in unsupported_in_words(spot).split("; "):
    ...     print(part)
    2.1 % of the light is beyond what the data support, most at x 120, y 45
    0.4 % is missing
    """
    share, lost = (_per_cent(found[key]) for key in ("share", "lost"))
    y, x = found["brightest_yx_px"]
    place = f", most at x {x}, y {y}" if found["share"] else ""
    return (
        f"{share} of the light is beyond what the data support{place}; {lost} is "
        "missing"
    )


def _per_cent(share: float) -> str:
    return f"{100 * share:.1f} %" if share >= _LEAST_TOLD else "less than 0.1 %"
