"""Zeiss CZI, Nikon ND2 and Leica LIF, through the readers of BioIO."""

from __future__ import annotations

import importlib
import logging
import math
import re
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree.ElementTree import Element

import numpy as np
from numpy.typing import NDArray

from napari_dps.core import InputError
from napari_dps.io import ome_xml
from napari_dps.io.lazy import Planes, one_line, unreadable
from napari_dps.io.raw import (
    Format,
    Metadata,
    RawImage,
    check_series,
    length_nm,
    positive,
    square_pixel,
)
from napari_dps.io.time_limit import limited
from napari_dps.io.vendor_promises import check_promises

if TYPE_CHECKING:
    from types import ModuleType

MARKS = {
    b"ZISRAWFILE": "czi",
    b"\xda\xce\xbe\x0a": "nd2",
    b"\x70\x00\x00\x00": "lif",
}
"""First bytes of the formats."""

_NAMES = {"czi": "Zeiss CZI", "nd2": "Nikon ND2", "lif": "Leica LIF"}

_LOGGERS = ("bioio_base", "bioio_czi", "bioio_lif", "bioio_nd2", "liffile", "nd2")
"""Of the readers and the libraries below them."""

_LIF_TIME = "4"
"""Number of the time axis in LIF files."""

_MICROSCOPE = re.compile(r"\bN-SIM\b|\belyra[ _]?\w*", re.IGNORECASE)
"""Instruments for SIM, as NIS-Elements and ZEN name them."""

_CZI_ANGLE_PHASE = {"R": "A", "H": "P"}
"""Rotations and phases of CZI files; phases alone may count all raw frames."""


def read_vendor(
    kind: str, path: Path, lazy: bool = False, scene: int | None = None
) -> RawImage:
    """Read a scene of an instrument's file.

    Parameters
    ----------
    kind : {"czi", "nd2", "lif"}
        The format.
    path : Path
        The file; its first bytes have been seen.
    lazy : bool
        Leave the pixels unread.
    scene : int, optional
        From 0. Default: the first, with a warning if there are more.

    Returns
    -------
    RawImage

    Raises
    ------
    InputError
        If the extra ``formats`` is not installed, or the file is damaged, of several
        samples a pixel, or a mosaic of tiles.
    """
    _module(kind, path)
    try:
        planes, axes, metadata = limited(path, partial(_opened, kind, path, scene))
    except InputError as error:
        raise InputError(f"{path.name}: {error}") from error
    except Exception as error:
        # Whatever a parser of untrusted bytes raises means: not readable.
        raise InputError(
            f"{path.name} is not a readable {_NAMES[kind]} file: {one_line(error)}"
        ) from error
    if lazy:  # a truncated file is found by its last plane
        planes.read(planes.index.size - 1)
    return RawImage(data=planes if lazy else planes[()], axes=axes, metadata=metadata)


def _opened(kind: str, path: Path, scene: int | None) -> tuple[Planes, str, Metadata]:
    """Planes of a scene, their axes, and what is said of them."""
    with _quiet():
        check_promises(kind, path)
        check_series(scene or 0, len(_reader(kind, path).scenes))
        reader = _reader(kind, path, scene or 0)
        planes, axes = _planes(kind, path, reader, scene or 0)
        return planes, axes, _metadata(kind, reader, axes, scene)


def _module(kind: str, path: Path) -> ModuleType:
    try:
        with _quiet():
            return importlib.import_module(f"bioio_{kind}")
    except ImportError as error:
        raise InputError(
            f"{path.name} is a {_NAMES[kind]} file, which needs the extra: "
            'pip install "napari-dps[formats]"; or export it as OME-TIFF'
        ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the warnings of the readers, which are for programmers, off the terminal."""
    for name in _LOGGERS:  # else Python prints what nobody handles
        logger = logging.getLogger(name)
        if not logger.handlers:
            logger.addHandler(logging.NullHandler())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _reader(kind: str, path: Path, scene: int = 0) -> Any:
    """Return a reader of a scene, kept while the file stays as it is."""
    state = path.stat()
    return _kept_reader(kind, path, state.st_size, state.st_mtime_ns, scene)


@lru_cache(maxsize=4)
def _kept_reader(kind: str, path: Path, size: int, time_ns: int, scene: int) -> Any:
    # The reader holds no open file: each read opens it.
    reader = _module(kind, path).Reader(str(path))
    if scene:
        reader.set_scene(scene)
    return reader


def _planes(kind: str, path: Path, reader: Any, scene: int) -> tuple[Planes, str]:
    """Planes of a scene, and their axes without those of one entry."""
    sizes = dict(zip(str(reader.dims.order), map(int, reader.dims.shape), strict=True))
    if sizes.pop("S", 1) > 1:
        raise InputError(
            "colour image (RGB)", allowed="one channel a plane; split the channels"
        )
    if sizes.get("M", 1) > 1:
        raise InputError(f"mosaic of {sizes['M']} tiles", allowed="a stitched image")
    if np.dtype(reader.dtype).kind not in "iuf":
        raise InputError(
            "pixel type", got=reader.dtype, allowed="integers or floating point"
        )
    plane = (sizes.pop("Y"), sizes.pop("X"))
    lead = tuple(sizes.values())
    kept = {axis: size for axis, size in sizes.items() if size > 1}
    names = {axis: axis for axis in "TCZ"}
    if kind == "czi" and set(_CZI_ANGLE_PHASE) <= set(kept):
        names |= _CZI_ANGLE_PHASE
    letters = "".join(names.get(axis, "Q") for axis in kept)
    planes = Planes(
        _Scene(kind, path, "".join(sizes), lead, path.stat().st_size, scene),
        np.arange(math.prod(lead)).reshape(tuple(kept.values())),
        plane,
        np.dtype(reader.dtype).newbyteorder("="),
    )
    return planes, f"{letters}YX"


@dataclass(frozen=True, slots=True)
class _Scene:
    """Reads planes of a scene by their number; can be sent to another process."""

    kind: str
    path: Path
    axes: str
    sizes: tuple[int, ...]
    bytes: int
    scene: int = 0

    def __call__(self, block: int) -> NDArray[Any]:
        """Read one plane, (1, Y, X)."""
        place = np.unravel_index(block, self.sizes) if self.sizes else ()
        where = {a: int(i) for a, i in zip(self.axes, place, strict=True)}
        try:
            # Some readers map the file, which would end the process.
            if self.path.stat().st_size < self.bytes:
                raise InputError("the file has become shorter")
            return limited(self.path, partial(self._plane, where))
        except Exception as error:
            # Whatever a decoder of untrusted bytes raises means: not readable.
            raise unreadable(self.path.name, block, error) from error

    def _plane(self, where: dict[str, int]) -> NDArray[Any]:
        if self.kind == "lif":
            return self._leica(where)
        reader = _reader(self.kind, self.path, self.scene)
        return np.asarray(reader.get_image_data("YX", **where))[None]

    def _leica(self, where: dict[str, int]) -> NDArray[Any]:
        """One plane by the library below BioIO, which itself would read them all."""
        from liffile import LifFile

        with LifFile(self.path) as file:
            image = file.images[self.scene]
            # It drops axes of one entry.
            chosen = {a: i for a, i in where.items() if a in image.sizes}
            return np.asarray(image.frames(**chosen).asarray())[None]


def _metadata(kind: str, reader: Any, axes: str, scene: int | None) -> Metadata:
    """Collect what BioIO gives for every format, and the optics."""
    sizes = reader.physical_pixel_sizes
    pixel_size_nm, doubt = square_pixel(
        length_nm(_number(sizes.X), "µm"), length_nm(_number(sizes.Y), "µm")
    )
    names = tuple(str(name) for name in reader.channel_names or ())
    messages = [doubt] if doubt else []
    scenes = reader.scenes
    if scene is None and len(scenes) > 1:
        messages.append(
            f"{len(scenes)} scenes in the file: the first one, {scenes[0]}, is read"
        )
    metadata = Metadata(
        pixel_size_nm=pixel_size_nm,
        z_step_nm=length_nm(_number(sizes.Z), "µm") if "Z" in axes else None,
        frame_interval_s=_interval_s(reader) if "T" in axes else None,
        channel_names=names if any(names) else (),
    )
    try:
        metadata = _OPTICS[kind](reader, metadata)
    except Exception:  # noqa: BLE001 - made by other programs, of any content
        messages.append("the optics in the file's metadata cannot be read: ignored")
    return replace(metadata, warnings=tuple(messages))


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def _interval_s(reader: Any) -> float | None:
    interval = reader.time_interval
    return None if interval is None else positive(interval.total_seconds())


def _czi_optics(reader: Any, metadata: Metadata) -> Metadata:
    root: Element = reader.metadata
    image = ".//Information/Image"
    waves = [
        _text(channel, "EmissionWavelength")
        for channel in root.findall(f"{image}/Dimensions/Channels/Channel")
    ]
    used = root.find(f"{image}/ObjectiveSettings/ObjectiveRef")
    objectives = root.findall(".//Information/Instrument/Objectives/Objective")
    wanted = None if used is None else used.get("Id")
    apertures = [
        _text(objective, "LensNA")
        for objective in objectives
        if objective.get("Id") == wanted or len(objectives) == 1
    ]
    return replace(
        metadata,
        na=apertures[0] if apertures else None,
        refractive_index=_text(root, f"{image}/ObjectiveSettings/RefractiveIndex"),
        microscope=_mentioned(
            part
            for element in root.findall(".//Information/Instrument//*")
            for part in (element.text or "", *element.attrib.values())
        ),
        **_emissions(waves),
    )


def _nd2_optics(reader: Any, metadata: Metadata) -> Metadata:
    text = reader.ome_metadata.to_xml()
    found = ome_xml.parse(text)
    return replace(
        metadata,
        microscope=_mentioned([text]),
        na=found.na,
        refractive_index=found.refractive_index,
        emission_nm=found.emission_nm,
        channel_emission_nm=found.channel_emission_nm,
    )


def _lif_optics(reader: Any, metadata: Metadata) -> Metadata:
    """Take what all scenes of the file agree on: the settings name no scene."""
    root: Element = reader.metadata

    def agreed(key: str) -> float | None:
        values = {positive(e.get(key)) for e in root.iter() if key in e.attrib}
        return values.pop() if len(values) == 1 else None

    intervals = {
        float(axis.get("Length", 0)) / max(int(axis.get("NumberOfElements", 1)) - 1, 1)
        for axis in root.iter("DimensionDescription")
        if axis.get("DimID") == _LIF_TIME and axis.get("Unit") == "s"
    }
    return replace(
        metadata,
        na=agreed("NumericalAperture"),
        refractive_index=agreed("RefractionIndex"),
        frame_interval_s=positive(intervals.pop()) if len(intervals) == 1 else None,
    )


_OPTICS = {"czi": _czi_optics, "nd2": _nd2_optics, "lif": _lif_optics}


def _mentioned(texts: Iterable[str]) -> str:
    """Return the name of an instrument for SIM among texts; empty if none has it."""
    return next((m[0] for text in texts if (m := _MICROSCOPE.search(text))), "")


def _text(element: Element, path: str) -> float | None:
    return positive(element.findtext(path))


def _emissions(waves: list[float | None]) -> dict[str, Any]:
    return {
        "emission_nm": waves[0] if len(set(waves)) == 1 else None,
        "channel_emission_nm": tuple(waves) if any(waves) else (),
    }


def _begins(mark: bytes, path: Path, head: bytes) -> bool:
    return head.startswith(mark)


FORMATS = tuple(
    Format(
        _NAMES[kind],
        (f".{kind}",),
        partial(_begins, mark),
        partial(read_vendor, kind),
        partial(read_vendor, kind),
    )
    for mark, kind in MARKS.items()
)
