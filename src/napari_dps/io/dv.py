"""DeltaVision and OMX files (.dv, .mrc, .r3d) in."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_dps.core import InputError
from napari_dps.io.lazy import MappedPlanes, Planes
from napari_dps.io.raw import (
    Format,
    Metadata,
    RawImage,
    length_nm,
    positive,
    square_pixel,
)

_NUMBERS, _NUMBER_AT = (struct.pack("<h", -16224), struct.pack(">h", -16224)), 96
"""Identification of DeltaVision files, in bytes 96 and 97 of the header."""

_HEADER_BYTES = 1024
_COMPLEX_TYPES = (3, 4)


def read_dv(path: Path, lazy: bool = False) -> RawImage:
    """Read a DeltaVision file.

    Rows are stored from the lower left corner of the image; they are turned over, so
    that y points down, as Bio-Formats shows them. OMX instruments store angle, z, phase
    (phase fastest) in the file's Z axis, as the SIMcheck manual's page "SI microscopy
    systems" says.

    Parameters
    ----------
    path : Path
        The file; its identification number has been seen.
    lazy : bool
        Leave the pixels unread.

    Returns
    -------
    RawImage

    Raises
    ------
    InputError
        If the extra ``dv`` is not installed, or the file is damaged or truncated.
    """
    try:
        from mrc import DVFile
    except ImportError as error:
        raise InputError(
            f"{path.name}: DeltaVision files need the extra: "
            'pip install "napari-dps[dv]"'
        ) from error
    if path.stat().st_size < _HEADER_BYTES:
        raise InputError(f"{path.name} is truncated")
    try:
        file = DVFile(path)
    except Exception as error:
        # Whatever a parser of untrusted bytes raises means: not readable.
        raise InputError(
            f"{path.name} is truncated or damaged: {error or type(error).__name__}"
        ) from error
    header, axes = file.hdr, str(file.axes)
    expected = header.nz * max(header.nt, 1) * max(header.nc, 1)
    if min(file.shape) < 1 or expected != header.n_sections:
        raise InputError(
            f"{path.name} is damaged: {header.n_sections} sections, axes {axes} "
            f"of {file.shape}"
        )
    if header.pixel_type in _COMPLEX_TYPES:
        raise InputError("pixel type", got="complex", allowed="integers or floats")
    planes = _planes(path, file)
    letters = (a for a, n in zip(axes, file.shape[:-2], strict=False) if n > 1)
    file.close()
    return RawImage(
        data=planes if lazy else planes[()],
        axes=f"{''.join(letters)}YX",
        metadata=_metadata(header),
        z_holds="azp",
    )


def _planes(path: Path, file: Any) -> Planes:
    """Planes of an open file, without the axes of one entry."""
    shape, stored = file.shape, np.dtype(file.dtype)
    plane = (shape[-2], shape[-1])
    lead = tuple(n for n in shape[:-2] if n > 1)
    start = _HEADER_BYTES + file.hdr.ext_hdr_len
    return Planes(
        _Flipped(MappedPlanes(path, start, plane, stored)),
        np.arange(math.prod(lead)).reshape(lead),
        plane,
        stored.newbyteorder("="),
    )


@dataclass(frozen=True, slots=True)
class _Flipped:
    """Reads planes and turns their rows over."""

    read: MappedPlanes

    def __call__(self, block: int) -> NDArray[Any]:
        """Read one plane, (1, Y, X)."""
        return self.read(block)[:, ::-1]


def _metadata(header: Any) -> Metadata:
    pixel_size_nm, doubt = square_pixel(
        length_nm(header.dx, "µm"), length_nm(header.dy, "µm")
    )
    waves = [header.wave1, header.wave2, header.wave3, header.wave4, header.wave5]
    emissions = tuple(positive(wave) for wave in waves[: max(header.nc, 1)])
    names = tuple(f"{wave:g} nm" if wave else "" for wave in emissions)
    return Metadata(
        pixel_size_nm=pixel_size_nm,
        z_step_nm=length_nm(header.dz, "µm") if header.nz > 1 else None,
        channel_names=names if any(names) else (),
        na=_lens_na(int(header.lens_num)),
        emission_nm=emissions[0] if len(set(emissions)) == 1 else None,
        channel_emission_nm=emissions if any(emissions) else (),
        warnings=(doubt,) if doubt else (),
    )


def _lens_na(number: int) -> float | None:
    from mrc.lenses import D as LENSES

    return positive(LENSES.get(number, {}).get("lensNA"))


def _is_dv(path: Path, head: bytes) -> bool:
    return head[_NUMBER_AT : _NUMBER_AT + 2] in _NUMBERS


FORMAT = Format("DeltaVision (.dv, .mrc)", (".dv", ".mrc", ".r3d"), _is_dv, read_dv)
