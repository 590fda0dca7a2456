"""What a layer tells: axes, sizes, optics, history, and whether a stage can take it."""

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image

from napari_dps.core import InputError, Optics, StackInfo, is_raw

METADATA = "napari-dps"
"""Key of a layer's metadata: optics, patterns, history, as objects of the core."""
PART = "part_of"
"""Key in there of layers that only show something for a while, and what: no dock takes
them."""

ROLE = "role"
"""Key in there of what a layer is good for: `TRUTH` or `MAP`; absent for images."""
TRUTH, MAP = "truth", "map"
"""What is known to be there, and what only tells of another image: neither is chosen as
an input unasked."""
MAP_TITLE = "map"
"""Key in there of what a map is called; its name may have a number beside."""
FILE = "file"
"""Key in there of the path of the file that all began with."""
BASE = "base"
"""Key in there of the name of the layer that results were made of first."""

_AXIS_NAMES = {
    "T": ("t", "time"),
    "C": ("c", "channel"),
    "Z": ("z", "depth", "plane"),
    "A": ("a", "angle"),
    "P": ("p", "phase"),
}
_ALL_AXES = re.compile("(?!.*([TCZAP]).*\\1)[TCZAPQ]*YX")
"""No letter twice but Q."""
_LETTERS = {name: letter for letter, names in _AXIS_NAMES.items() for name in names}


def axes_of(layer: Image) -> str:
    """Return a letter for each dimension of a layer; Q where nothing names it.

    Examples
    --------
    >>> axes_of(Image(np.zeros((9, 8, 8)), axis_labels=("time", "y", "x")))
    'TYX'
    """
    axes = entry_of(layer, "axes")
    if isinstance(axes, str) and len(axes) == layer.ndim and _ALL_AXES.fullmatch(axes):
        return axes
    labels = [str(label).lower() for label in layer.axis_labels[:-2]]
    letters = [_LETTERS.get(label, "Q") for label in labels]
    if any(letters.count(letter) > 1 for letter in _AXIS_NAMES):
        letters = ["Q"] * len(letters)
    return "".join(letters) + "YX"


def pixel_size_nm(layer: Image) -> float | None:
    """Return the pixel size that a layer's scale and units tell; None for pixels.

    Raises
    ------
    InputError
        If the pixels are not square.
    """
    sizes = [_spacing(layer, place, "nm") for place in (-2, -1)]
    if sizes[0] is None or sizes[1] is None:
        return None
    if abs(sizes[0] / sizes[1] - 1) > 0.01:
        raise InputError(
            "pixels of the layer",
            got=f"{sizes[0]:g} × {sizes[1]:g} nm",
            allowed="square",
        )
    return sizes[1]


def z_step_nm(layer: Image) -> float | None:
    """Return the step in Z that a layer's scale and units tell; None if they do not."""
    return _spacing_along(layer, "Z", "nm")


def frame_interval_s(layer: Image) -> float | None:
    """Return the time from frame to frame that scale and units tell, or None."""
    return _spacing_along(layer, "T", "s")


def _spacing_along(layer: Image, axis: str, unit: str) -> float | None:
    axes = axes_of(layer)
    return _spacing(layer, axes.index(axis), unit) if axis in axes else None


def _spacing(layer: Image, place: int, unit: str) -> float | None:
    """Return the scale of a dimension in another unit; None where there is none."""
    scale, layer_unit = float(layer.scale[place]), layer.units[place]
    if not layer_unit.is_compatible_with(unit):
        return None
    return float(f"{(scale * layer_unit).to(unit).magnitude:.12g}")


def shown_point(viewer: ViewerModel, layer: Image) -> tuple[float, ...]:
    """Return where the sliders stand, in the units of a layer: one entry a dimension.

    The sliders count in units that napari finds for all layers together.
    """
    point = viewer.dims.point[-layer.ndim :]
    units = viewer.layers.units
    if units is None:  # of different kinds: napari takes the numbers as they are
        return tuple(point)
    return tuple(
        float((place * unit).to(layer_unit).magnitude)
        for place, unit, layer_unit in zip(
            point, units[-layer.ndim :], layer.units, strict=True
        )
    )


def optics_of(layer: Image) -> Optics | None:
    """Return the optics that a layer carries."""
    optics: Optics | None = carried_by(layer, "optics").get("optics")
    return optics


def camera_offset_of(layer: Image, otherwise: float | None = None) -> float | None:
    """Return the camera's offset in counts that a layer carries."""
    offset = entry_of(layer, "camera_offset")
    is_number = isinstance(offset, int | float) and math.isfinite(offset)
    return float(offset) if is_number else otherwise


def is_zero_based(layer: Image) -> bool:
    """Whether the camera's offset is no longer in the pixels."""
    return bool(stages_behind(layer))


def stages_behind(layer: Any) -> set[str]:
    """Return the ids of the stages that made a layer."""
    history = carried_by(layer, "history").get("history", ())
    return {entry.stage for entry in history}


def part_of(layer: Any) -> str:
    """Return what a layer helps to show for a while; empty for others."""
    part = entry_of(layer, PART)
    return part if isinstance(part, str) else ""


def carried_by(layer: Any, *names: str) -> dict[str, Any]:
    """Return what a layer carries of its stack, as far as it is right.

    Anybody may put anything into a layer's metadata: other plugins, or a round trip
    through JSON, which leaves no objects.

    Parameters
    ----------
    layer : napari layer
        Of any kind.
    *names : str
        Fields of `StackInfo`.
    """
    return StackInfo.read_json(
        {name: value for name in names if (value := entry_of(layer, name)) is not None}
    )[0]


def entry_of(layer: Any, name: str) -> Any:
    """Return an entry that nobody has checked; None where there is none."""
    carried = layer.metadata.get(METADATA)
    return carried.get(name) if isinstance(carried, Mapping) else None


def role_of(layer: Any) -> str:
    """Return `TRUTH` or `MAP`; empty for an image."""
    role = entry_of(layer, ROLE)
    return role if role in (TRUTH, MAP) else ""


def maps_among(layers: Iterable[Image]) -> dict[str, Image]:
    """Return those of some layers that are maps, by what they are called.

    Where results of several stages have a map of one kind, the stage is named too.
    """
    maps = [layer for layer in layers if role_of(layer) == MAP]
    titles = [str(entry_of(layer, MAP_TITLE)) for layer in maps]
    return {
        title if titles.count(title) == 1 else _end_of_name(layer): layer
        for title, layer in zip(titles, maps, strict=True)
    }


def _end_of_name(layer: Image) -> str:
    """Return the stage and the map that the name of a layer ends with."""
    return " · ".join(layer.name.split(" · ")[-2:])


def base_name(layer: Any) -> str:
    """Return the name of the layer that a result was made of first, else its own.

    A layer that was renamed begins a family of its own.
    """
    base = entry_of(layer, BASE)
    is_kept = isinstance(base, str) and layer.name.startswith(f"{base} · ")
    return str(base) if is_kept else str(layer.name)


def file_name(layer: Any) -> str:
    """Return the path of the file that a layer, or what it was made of, came from.

    Empty where it came from none.
    """
    name = entry_of(layer, FILE)
    return name if isinstance(name, str) and name else str(layer.source.path or "")


def has_frames(layer: Image) -> bool:
    """Whether there is more than one T, C or Z to choose from."""
    raw = is_raw(axes_of(layer))
    return any(
        size > 1 and (axis in "TCZ" or (axis == "Q" and not raw))
        for axis, size in zip(axes_of(layer), _shape(layer), strict=True)
    )


def why_not(layer: Any, takes: str) -> str:
    """Say why a layer cannot be the input of a stage; empty if it can.

    Parameters
    ----------
    layer : napari layer
        Of any kind.
    takes : str
        Axes of the smallest unit of the stage: "YX" or "APYX".
    """
    if not isinstance(layer, Image):
        return f"a {type(layer).__name__} layer holds no image"
    if part_of(layer):
        return f"a part of the {part_of(layer)}"
    if layer.rgb:
        return "a colour picture: split its channels first"
    if layer.ndim < 2:
        return "one-dimensional"
    if np.dtype(layer.dtype).kind not in "iuf":
        return f"pixels of type {layer.dtype}"
    axes = axes_of(layer)
    if is_raw(takes):
        if not is_raw(axes) and _frame_count(layer) < 3:
            return "one image: raw SIM frames are needed"
        if is_zero_based(layer) and not is_raw(axes):
            return "already reconstructed"
    elif is_raw(axes):
        return "raw SIM frames: reconstruct them first"
    return ""


def _frame_count(layer: Image) -> int:
    return int(np.prod(_shape(layer)[:-2]))


def _shape(layer: Image) -> tuple[int, ...]:
    data = layer.data[0] if layer.multiscale else layer.data
    return tuple(int(n) for n in data.shape)


_AXES_IN_WORDS = {
    "T": "time points",
    "C": "channels",
    "Z": "planes",
    "Q": "frames",
    "A": "angles",
    "P": "phases",
    "Y": "",
    "X": "",
}


def describe_layer(layer: Image) -> str:
    """Say in a line what a layer holds: sizes by axis, and the pixel size."""
    sizes = [
        f"{size} {_AXES_IN_WORDS.get(axis, axis)}".strip()
        for axis, size in zip(axes_of(layer), _shape(layer), strict=True)
    ]
    text = " × ".join(sizes) + " px"
    try:
        size = pixel_size_nm(layer)
    except InputError as error:
        return f"{text}, {error}"
    return f"{text}, {size:g} nm" if size else f"{text}, pixel size not known"


def place_in_nm(layer: Image) -> tuple[float, float]:
    """Return where the first pixel of a layer lies in the world: (y, x) in nm.

    In pixels of the world where the layer tells no unit.
    """
    size = pixel_size_nm(layer)
    y, x = (
        float(translate) * (1.0 if size is None else size / float(scale))
        for translate, scale in zip(layer.translate[-2:], layer.scale[-2:], strict=True)
    )
    return y, x
