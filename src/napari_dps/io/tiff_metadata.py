"""What TIFF files without OME-XML say of their pixels."""

from __future__ import annotations

import tifffile

from napari_dps.io.raw import (
    Metadata,
    doubted_length,
    length_nm,
    positive,
    seconds,
    square_pixel,
)

_RESOLUTION_UNITS = {2: "inch", 3: "cm"}


def plain_metadata(tif: tifffile.TiffFile) -> Metadata:
    """ImageJ's description, else the resolution tags."""
    tags = tif.pages.first.tags
    imagej = tif.imagej_metadata or {}
    unit = str(imagej.get("unit", ""))
    if not imagej:
        unit = _RESOLUTION_UNITS.get(int(tags.valueof(296, 0)), "")
    x, y = (_edge(tags.valueof(code)) for code in (282, 283))
    y_nm = length_nm(y, str(imagej.get("yunit", unit)))
    pixel_size_nm, doubt = square_pixel(length_nm(x, unit), y_nm)
    doubt = doubt or doubted_length(x, unit, "pixel size")
    # A printer's resolution (72 to 2400 dpi) is everywhere and deserves no warning.
    warnings = (doubt,) if doubt and imagej else ()
    return Metadata(
        pixel_size_nm=pixel_size_nm,
        z_step_nm=length_nm(imagej.get("spacing"), unit),
        frame_interval_s=seconds(
            imagej.get("finterval"), str(imagej.get("tunit", "s"))
        ),
        warnings=warnings,
    )


def lsm_metadata(tif: tifffile.TiffFile) -> Metadata:
    """Voxel size and frame interval of a Zeiss LSM file, stored in m and s."""
    info = tif.lsm_metadata or {}
    pixel_size_nm, doubt = square_pixel(
        length_nm(info.get("VoxelSizeX"), "m"), length_nm(info.get("VoxelSizeY"), "m")
    )
    is_stack = int(info.get("DimensionZ", 1)) > 1
    return Metadata(
        pixel_size_nm=pixel_size_nm,
        z_step_nm=length_nm(info.get("VoxelSizeZ"), "m") if is_stack else None,
        frame_interval_s=seconds(info.get("TimeIntervall"), "s"),
        warnings=(doubt,) if doubt else (),
    )


def _edge(resolution: object) -> float | None:
    """Edge of a pixel from a resolution tag: a fraction of pixels a unit."""
    if not isinstance(resolution, tuple) or len(resolution) != 2 or not resolution[0]:
        return None
    return positive(resolution[1] / resolution[0])
