"""A file or a raw image to an `ImageStack`: axes, pixel size, optics."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from napari_dps.core import ImageStack, InputError
from napari_dps.io.file_optics import with_stored_optics
from napari_dps.io.lazy import Planes
from napari_dps.io.montage import MONTAGES, untile
from napari_dps.io.order import FrameOrder, plain_order, sim_order
from napari_dps.io.order_check import check_frame_order
from napari_dps.io.picking import unfolded
from napari_dps.io.raw import RawImage
from napari_dps.io.read import read

Warn = Callable[[str], None]

_log = logging.getLogger(__name__)


def load(
    path: str | os.PathLike[str],
    *,
    angles: int | None = None,
    phases: int | None = None,
    order: str | None = None,
    pixel_size_nm: float | None = None,
    lazy: bool = False,
    refuse_wrong_order: bool = False,
    allow_missing: bool = False,
    warn: Warn = _log.warning,
) -> ImageStack:
    """Read a file into a stack with canonical axes: T, C, Z, A, P, Y, X.

    Parameters
    ----------
    path : path-like
        TIFF, DeltaVision, OME-Zarr, CZI, ND2 or LIF.
    angles, phases : int, optional
        Their numbers in a raw SIM image; without them the file is a plain image, unless
        it names angles and phases itself.
    order : str, optional
        Order of the frames in the file, slowest first: ``apyx`` (default), ``payx``,
        ``zapyx``, ``apzyx``, ``tapyx`` and other permutations of t, c, z, a, p;
        ``qyx`` is ``apyx``; ``montage`` is planes of tiles, a row an angle, a column a
        phase; ``montage-pa`` the reverse.
    pixel_size_nm : float, optional
        Wins over the metadata.
    lazy : bool
        Leave the pixels in the file: time and memory then depend on the number of
        frames by their headers alone. They are not searched for NaN and inf.
    refuse_wrong_order : bool
        Whether frames that contradict the order are an error, and no warning.
    allow_missing : bool
        Fill chunks that an OME-Zarr lacks, with a warning; else they are an error.
    warn : callable, optional
        Called with each warning: metadata not believed, frame order in doubt.

    Returns
    -------
    ImageStack
        Data of the file's type in native byte order, in memory; if ``lazy``, a dask
        array in chunks of one plane, or of the planes that the file stores together.

    Raises
    ------
    InputError
        If the file cannot be read, holds NaN or inf, or does not fit the counts.
    """
    raw = read(path, lazy=lazy, allow_missing=allow_missing)
    return arrange(
        raw,
        angles=angles,
        phases=phases,
        order=order,
        pixel_size_nm=pixel_size_nm,
        lazy=lazy,
        refuse_wrong_order=refuse_wrong_order,
        warn=warn,
    )


def arrange(
    raw: RawImage,
    *,
    angles: int | None = None,
    phases: int | None = None,
    order: str | None = None,
    pixel_size_nm: float | None = None,
    lazy: bool = False,
    refuse_wrong_order: bool = False,
    check: bool = True,
    as_dask: bool = True,
    warn: Warn = _log.warning,
) -> ImageStack:
    """Arrange a raw image to a stack; parameters and errors as for `load`.

    Without ``check`` the frames are not asked whether the order fits them; without
    ``as_dask`` lazy data are `Planes`, which need no import of dask to be read.
    """
    raw = unfolded(replace(raw, data=_native(raw.data)))
    data, frame_order, hint = _frames(raw, angles, phases, order)
    if isinstance(data, np.ndarray) and not lazy:
        _require_finite(data)
    for message in (*raw.metadata.warnings, raw.missing, hint):
        if message:
            warn(message)
    metadata = raw.metadata
    if check and angles is not None and (wrong := _wrong(data, frame_order, order)):
        if refuse_wrong_order:
            raise InputError(
                f"{wrong}; an order that is named is believed", field="input.order"
            )
        warn(wrong)
    pixel_size_nm = _pixel_size(metadata.pixel_size_nm, pixel_size_nm, warn)
    arranged = frame_order.arrange(data)
    info = replace(
        metadata.info, pixel_size_nm=pixel_size_nm, optics=None, channel_optics=()
    )
    info = replace(info, frame_interval_s=_interval_s(raw, frame_order))
    if isinstance(arranged, Planes):
        arranged = arranged.to_dask() if as_dask else cast(NDArray[Any], arranged)
    stack = ImageStack(arranged, frame_order.axes, **info.to_dict())
    return with_stored_optics(stack, metadata, warn)


def _interval_s(raw: RawImage, frame_order: FrameOrder) -> float | None:
    """Return the time from one set of raw frames to the next.

    A file whose T axis holds the frames of the sets tells that from frame to frame.
    """
    interval = raw.metadata.info.frame_interval_s
    frames = math.prod(size for letter, size in _dims(raw) if letter == "t")
    return interval and interval * max(frames / frame_order.size("t"), 1)


def _wrong(
    data: NDArray[Any] | Planes, frame_order: FrameOrder, order: str | None
) -> str:
    """Say which order the frames look like when it is another, else ""."""
    found = check_frame_order(data, frame_order)
    if found.status != "wrong":
        return ""
    tiles = "; for tiles try the other of montage, montage-pa"
    return found.message + (tiles if order in MONTAGES else "")


def _suggest_montage(
    shape: tuple[int, ...],
    dims: list[tuple[str, int]],
    angles: int,
    phases: int,
    order: str | None,
) -> None:
    """Refuse planes that are too few for the counts, but can be cut into tiles."""
    total, (height, width) = math.prod(size for _, size in dims), shape[-2:]
    if (
        order is None
        and total < angles * phases
        and not height % angles + width % phases
    ):
        raise InputError(
            f"{total} planes of {height} × {width} pixels do not fit {angles} angles × "
            f"{phases} phases; if each plane is tiled, say order montage: "
            f"tiles of {height // angles} × {width // phases} pixels",
            field=("input.order", "input.angles", "input.phases"),
        )


def _dims(raw: RawImage) -> list[tuple[str, int]]:
    """Letters and sizes of the leading dimensions."""
    return list(zip(raw.axes[:-2].lower(), raw.data.shape[:-2], strict=True))


def _native(data: NDArray[Any] | Planes) -> NDArray[Any] | Planes:
    """Native byte order; array-likes that are no NumPy arrays become planes."""
    if isinstance(data, Planes):
        return data
    if not isinstance(data, np.ndarray):
        return Planes.of(data)
    if data.dtype.isnative:
        return data
    return data.astype(data.dtype.newbyteorder("="))


def _frames(
    raw: RawImage, angles: int | None, phases: int | None, order: str | None
) -> tuple[NDArray[Any] | Planes, FrameOrder, str]:
    """Frames in the file's order (…, Y, X), what they are, and a hint."""
    data, dims = raw.data, _dims(raw)
    if raw.colours:
        _refuse_colours(raw.colours, math.prod(data.shape[:-2]), angles, phases)
    if (angles is None) != (phases is None):
        raise InputError(
            "angles and phases belong together", field=("input.angles", "input.phases")
        )
    hint = ""
    if angles is None or phases is None:
        if order in MONTAGES:
            raise InputError(
                f"order {order} needs angles and phases",
                field=("input.angles", "input.phases"),
            )
        frame_order = plain_order(dims, order)
    elif angles < 1 or phases < 1:
        raise InputError(
            "angles × phases",
            got=f"{angles} × {phases}",
            allowed="1 or more of each",
            field=("input.angles", "input.phases"),
        )
    elif order in MONTAGES:
        data, tiles = untile(data, angles, phases, order)
        frame_order = plain_order([*dims, *tiles])
    else:
        _suggest_montage(data.shape, dims, angles, phases, order)
        frame_order, hint = sim_order(dims, angles, phases, order, raw.z_holds)
    return data, frame_order, hint


def _refuse_colours(
    colours: int, planes: int, angles: int | None, phases: int | None
) -> None:
    """Refuse a picture of colours, unless the counts say that its planes are frames.

    Stacks of three or four planes are stored as colours by the defaults of several
    programs.
    """
    frames = (angles or 0) * (phases or 0)
    are_frames = colours == frames or planes == frames
    are_phases = colours == phases and frames > 0 and planes % frames == 0
    if not (are_frames or are_phases):
        raise InputError(
            f"colour image (RGB) of {colours} planes",
            allowed="one channel a plane; split the channels. If the planes are raw "
            "frames, say how many angles and phases they are",
            field=("input.angles", "input.phases"),
        )


def _require_finite(data: NDArray[Any]) -> None:
    if data.dtype.kind != "f":
        return
    planes = (data[index] for index in np.ndindex(data.shape[:-2]))
    bad = sum(plane.size - int(np.isfinite(plane).sum()) for plane in planes)
    if bad:
        raise InputError(
            f"{bad} of {data.size} pixels are not finite (NaN or inf): replace them"
        )


def _pixel_size(stored: float | None, wanted: float | None, warn: Warn) -> float | None:
    if wanted is None:
        return stored
    if not 0 < wanted < math.inf:
        raise InputError(
            "pixel size in nm",
            got=wanted,
            allowed="above 0",
            field="optics.pixel_size_nm",
        )
    if stored is not None and abs(wanted / stored - 1) > 0.01:
        warn(
            f"pixel size {wanted:g} nm is used; the file's metadata says {stored:g} nm"
        )
    return wanted
