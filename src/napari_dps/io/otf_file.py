"""Files of measured OTFs: our own, and those of softWoRx and cudasirecon."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from napari_dps import __version__
from napari_dps.core import HistoryEntry, ImageStack, InputError, Optics
from napari_dps.core.files import open_regular
from napari_dps.core.otf import MeasuredOtf
from napari_dps.core.params import parse
from napari_dps.io.read import read
from napari_dps.io.write import save

STEP = "otf"
"""Name in the history of files of OTFs."""

_HEADER_BYTES = 1024
_DV_MARK_AT, _DV_MARK = 96, -16224
_COMPLEX_FLOAT = 4
_MOST_BYTES = 2**30
_MOST_ORDERS = 8
_NM_PER_UM = 1000.0


def save_otf(
    otf: MeasuredOtf, path: str | os.PathLike[str], *, beads: int, optics: Optics
) -> Path:
    """Write an OTF as an OME-TIFF that `read_otf` reads back.

    Channels are orders, y is kz from the lowest on, x is kr from 0 on.

    Parameters
    ----------
    otf : MeasuredOtf
        To write.
    path : path-like
        Ending in ``.tif`` or ``.tiff``.
    beads : int
        How many were averaged.
    optics : Optics
        Of the measurement.

    Raises
    ------
    InputError
        If it cannot be written.
    """
    noted = {
        "radial_step_per_nm": otf.radial_step_per_nm,
        "axial_step_per_nm": otf.axial_step_per_nm,
        "beads": beads,
        "optics": optics.model_dump(),
    }
    stack = ImageStack(
        np.fft.fftshift(otf.values, axes=2).transpose(0, 2, 1),
        "CYX",
        channel_names=tuple(f"order {n}" for n in range(otf.orders)),
        history=(HistoryEntry(STEP, noted, __version__, 0.0),),
    )
    return save(stack, path)


def read_otf(
    path: str | os.PathLike[str],
    *,
    pixel_size_nm: float | None = None,
    z_step_nm: float | None = None,
) -> MeasuredOtf:
    """Read an OTF as the file holds it.

    Parameters
    ----------
    path : path-like
        What `save_otf` wrote; an OTF of softWoRx or cudasirecon in the MRC format
        (complex, a section an order, kz along x, kr along y, their steps in cycles per
        µm in the header), or in TIFF (real and imaginary parts side by side, steps of
        the bead stack that the file does not tell).
    pixel_size_nm, z_step_nm : float, optional
        Of the bead stack of such a TIFF file.

    Returns
    -------
    MeasuredOtf
        Values in the file's scale, complex where they are.

    Raises
    ------
    InputError
        If it is no OTF, or damaged.
    """
    path = Path(path)
    try:
        with open_regular(path) as file:
            head = file.read(_HEADER_BYTES)
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"cannot read {path}: {reason}", field="input.otf") from error
    order = _byte_order(head)
    if order:
        return _read_mrc(path, head, order)
    raw = read(path)
    for entry in raw.metadata.history:
        if entry.stage == STEP:
            return _read_ours(path, np.asarray(raw.data), entry)
    return _read_tiff(path, pixel_size_nm, z_step_nm)


def _refusal(path: Path, reason: str) -> InputError:
    return InputError(
        f"{path.name} is no OTF: {reason}",
        allowed="what `napari-dps otf` wrote, or an OTF of softWoRx or cudasirecon",
        field="input.otf",
    )


def _read_ours(path: Path, data: NDArray[Any], entry: HistoryEntry) -> MeasuredOtf:
    steps = [
        float(value) if isinstance(value, float) and 0 < value < 1 else 0.0
        for value in map(
            entry.parameters.get, ("radial_step_per_nm", "axial_step_per_nm")
        )
    ]
    data = data[None] if data.ndim == 2 else data
    if data.ndim != 3 or not all(steps):
        raise _refusal(path, "its steps are missing or impossible")
    optics = parse(Optics, entry.parameters.get("optics", {}), "optics")
    values = np.fft.ifftshift(data.transpose(0, 2, 1), axes=2).astype(np.float32)
    return MeasuredOtf(values, steps[0], steps[1], optics, path.name)


def _byte_order(head: bytes) -> str:
    """Return how the numbers of a DeltaVision file are stored; empty for others."""
    if len(head) == _HEADER_BYTES:
        for order in "<>":
            if struct.unpack_from(f"{order}h", head, _DV_MARK_AT)[0] == _DV_MARK:
                return order
    return ""


def _read_mrc(path: Path, head: bytes, order: str) -> MeasuredOtf:
    width, height, sections, mode = struct.unpack_from(f"{order}4i", head, 0)
    axial, radial = struct.unpack_from(f"{order}2f", head, 40)
    (extended,) = struct.unpack_from(f"{order}i", head, 92)
    size = 8 * width * height * sections
    if mode != _COMPLEX_FLOAT:
        raise _refusal(path, f"its pixels are of type {mode}, not complex")
    if min(width, height, sections) < 1 or size > _MOST_BYTES or extended < 0:
        raise _refusal(path, f"{sections} sections of {height} × {width}")
    if path.stat().st_size < _HEADER_BYTES + extended + size:
        raise InputError(f"{path.name} is truncated", field="input.otf")
    if not (0 < axial < 1e3 and 0 < radial < 1e3):
        raise _refusal(path, f"steps of {radial:g} and {axial:g} cycles per µm")
    values = np.fromfile(
        path,
        dtype=f"{order}c8",
        count=width * height * sections,
        offset=_HEADER_BYTES + extended,
    ).reshape(sections, height, width)
    values = _one_an_order(values.astype(np.complex64))
    return MeasuredOtf(values, radial / _NM_PER_UM, axial / _NM_PER_UM, None, path.name)


def _read_tiff(
    path: Path, pixel_size_nm: float | None, z_step_nm: float | None
) -> MeasuredOtf:
    data = np.asarray(tifffile.imread(path))
    data = data[None] if data.ndim == 2 else data
    orders, height, width = data.shape[-3:] if data.ndim == 3 else (0, 0, 0)
    if (
        not 1 <= orders <= _MOST_ORDERS
        or data.dtype != np.float32
        or width % 2
        or min(height, width) < 4
    ):
        raise _refusal(path, f"{data.dtype} of shape {data.shape}")
    if not pixel_size_nm or not z_step_nm:
        raise InputError(
            f"{path.name} does not tell its steps: they are taken from pixel size and "
            "z step of the image, which are not known either",
            field=("optics.pixel_size_nm", "input.z_step_nm"),
        )
    values = _one_an_order(np.ascontiguousarray(data).view(np.complex64))
    return MeasuredOtf(
        values,
        1 / (2 * (height - 1) * pixel_size_nm),
        2 / (width * z_step_nm),
        None,
        path.name,
    )


def _one_an_order(values: NDArray[np.complex64]) -> NDArray[np.complex64]:
    """Return one table an order: of five, each order has a real and an imaginary one.

    They are those of the cosine and the sine of the stripes.
    """
    if len(values) != 5:
        return values
    cosines, sines = values[1::2], values[2::2]
    return np.concatenate([values[:1], cosines + 1j * sines])
