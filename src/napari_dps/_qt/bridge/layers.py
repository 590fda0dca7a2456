"""Between napari's layers and the stacks of the pipeline, with nothing lost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image

from napari_dps.core import ImageStack, InputError, Optics, StackInfo, is_raw
from napari_dps.figures.panels import display_limits
from napari_dps.io import Metadata, RawImage, arrange
from napari_dps.io.load import Warn
from napari_dps.pipeline import InputSettings

METADATA = "napari-dps"
"""Key of a layer's metadata: optics, patterns, history, as objects of the core."""
PART = "part_of"
"""Key in there of layers that only show something for a while, and what: no dock takes
them."""

_AXIS_NAMES = {
    "T": ("t", "time"),
    "C": ("c", "channel"),
    "Z": ("z", "depth", "plane"),
    "A": ("a", "angle"),
    "P": ("p", "phase"),
}
_LETTERS = {name: letter for letter, names in _AXIS_NAMES.items() for name in names}
_LABELS = {"A": "angle", "P": "phase"}

LayerData = tuple[Any, dict[str, Any], str]
"""What napari makes a layer of: data, keyword arguments, type."""


def axes_of(layer: Image) -> str:
    """Return a letter for each dimension of a layer; Q where nothing names it.

    Examples
    --------
    >>> axes_of(Image(np.zeros((9, 8, 8)), axis_labels=("time", "y", "x")))
    'TYX'
    """
    known = layer.metadata.get(METADATA, {}).get("axes", "")
    if len(known) == layer.ndim:
        return str(known)
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
    scale, own = float(layer.scale[place]), layer.units[place]
    if not own.is_compatible_with(unit):
        return None
    return float(f"{(scale * own).to(unit).magnitude:.12g}")


def shown_point(viewer: ViewerModel, layer: Image) -> tuple[float, ...]:
    """Return where the sliders stand, in the units of a layer: one entry a dimension.

    The sliders count in units that napari finds for all layers together.
    """
    point = viewer.dims.point[-layer.ndim :]
    units = viewer.layers.units
    if units is None:  # of different kinds: napari takes the numbers as they are
        return tuple(point)
    return tuple(
        float((place * unit).to(own).magnitude)
        for place, unit, own in zip(
            point, units[-layer.ndim :], layer.units, strict=True
        )
    )


def optics_of(layer: Image) -> Optics | None:
    """Return the optics that a layer carries."""
    optics = layer.metadata.get(METADATA, {}).get("optics")
    return optics if isinstance(optics, Optics) else None


def camera_offset_of(layer: Image, otherwise: float) -> float:
    """Return the camera's offset in counts that a layer carries."""
    return float(layer.metadata.get(METADATA, {}).get("camera_offset", otherwise))


def is_zero_based(layer: Image) -> bool:
    """Whether the camera's offset is no longer in the pixels."""
    return bool(stages_behind(layer))


def stages_behind(layer: Any) -> set[str]:
    """Return the ids of the stages that made a layer."""
    history = layer.metadata.get(METADATA, {}).get("history", ())
    return {entry.stage for entry in history}


def part_of(layer: Any) -> str:
    """Return what a layer helps to show for a while; empty for others."""
    return str(layer.metadata.get(METADATA, {}).get(PART, ""))


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


def describe_layer(layer: Image) -> str:
    """Say in a line what a layer holds: sizes by axis, and the pixel size."""
    names = {"Q": "frames", "A": "angles", "P": "phases", "Y": "", "X": ""}
    parts = [
        f"{size} {names.get(axis, axis)}".strip()
        for axis, size in zip(axes_of(layer), _shape(layer), strict=True)
    ]
    text = " × ".join(parts) + " px"
    try:
        size = pixel_size_nm(layer)
    except InputError as error:
        return f"{text}, {error}"
    return f"{text}, {size:g} nm" if size else f"{text}, pixel size not known"


@dataclass(frozen=True, eq=False)
class Source:
    """A layer as it was when Run was clicked: safe to read in another thread.

    Attributes
    ----------
    data : array-like
        Not copied; may be lazy.
    axes : str
        A letter for each dimension; Q where nothing names it.
    metadata : Metadata
        What the layer tells of optics, patterns, history and pixel size.
    name, colormap : str
        Of the layer.
    scale, translate, units, axis_labels : tuple
        Of the layer, an entry for each dimension.
    frame : int or None
        Of unnamed raw frames the only one of interest; None for all.
    """

    data: Any
    axes: str
    metadata: Metadata
    name: str
    colormap: Any
    scale: tuple[float, ...]
    translate: tuple[float, ...]
    units: tuple[Any, ...]
    axis_labels: tuple[str, ...]
    frame: int | None = None

    @classmethod
    def of(cls, layer: Image, point: Sequence[float] | None = None) -> "Source":
        """Note everything of a layer.

        Parameters
        ----------
        layer : Image
            The input.
        point : sequence of float, optional
            As of `shown_point`: only the T, C and Z shown there are kept.
        """
        source = cls(
            data=layer.data[0] if layer.multiscale else layer.data,
            axes=axes_of(layer),
            metadata=_metadata_of(layer),
            name=layer.name,
            colormap=layer.colormap,
            scale=tuple(float(s) for s in layer.scale),
            translate=tuple(float(t) for t in layer.translate),
            units=tuple(layer.units),
            axis_labels=tuple(layer.axis_labels),
        )
        return source if point is None else source._at(layer.world_to_data(point))

    def _at(self, position: Sequence[float]) -> "Source":
        """Return the same with one T, C and Z."""
        raw = is_raw(self.axes)
        index: list[Any] = []
        for axis, place, size in zip(self.axes, position, self.data.shape, strict=True):
            inside = min(max(round(float(place)), 0), size - 1)
            fixed = axis in "TCZ" or (axis == "Q" and not raw)
            index.append(inside if fixed else slice(None))
        kept = [n for n, item in enumerate(index) if isinstance(item, slice)]

        def pick(values: Sequence[Any]) -> tuple[Any, ...]:
            return tuple(values[n] for n in kept)

        return replace(
            self,
            data=self.data[tuple(index)],
            axes="".join(pick(self.axes)),
            scale=pick(self.scale),
            translate=pick(self.translate),
            units=pick(self.units),
            axis_labels=pick(self.axis_labels),
        )

    def to_stack(
        self, given: InputSettings, pixel_nm: float | None, warn: Warn
    ) -> ImageStack:
        """Read the pixels and arrange them; as the command line does with a file.

        Parameters
        ----------
        given : InputSettings
            Angles, phases and order; not used where the layer names them itself.
        pixel_nm : float, optional
            Wins over what the layer tells.
        warn : callable
            Called with each warning.
        """
        named = is_raw(self.axes)
        raw = RawImage(np.asarray(self.data), self.axes, self.metadata)
        return arrange(
            raw,
            angles=None if named else given.angles,
            phases=None if named else given.phases,
            order=None if named else given.order,
            pixel_size_nm=pixel_nm,
            warn=warn,
        )


def _metadata_of(layer: Image) -> Metadata:
    """Return what a layer carries of its stack; its scale and place as shown now."""
    held = layer.metadata.get(METADATA, {})
    info = StackInfo(**{n: held[n] for n in StackInfo().to_dict() if n in held})
    shown = {
        "pixel_size_nm": pixel_size_nm(layer),
        "z_step_nm": z_step_nm(layer),
        "frame_interval_s": frame_interval_s(layer),
    }
    # A layer begins its own frame of reference; the noise is that of one run.
    return Metadata(**{**info.to_dict(), **shown, "origin_nm": (0, 0), "noise": None})


def result_layer(
    image: ImageStack, source: Source, stack: ImageStack, title: str
) -> LayerData:
    """Return the layer of a result, lying exactly on its input.

    Parameters
    ----------
    image : ImageStack
        The result.
    source : Source
        The layer that it was made of.
    stack : ImageStack
        That layer as the pipeline saw it.
    title : str
        What was done.
    """
    data, axes = _arranged(image, like=source.axes)
    places = _places(axes, stack, source)
    finer = (image.pixel_size_nm or 1.0) / (stack.pixel_size_nm or 1.0)
    scale, translate, units = [], [], []
    for axis, place in zip(axes, places, strict=True):
        own, unit = _scale_along(image, axis)
        if place is not None:
            own, unit = source.scale[place], source.units[place]
        start = source.translate[place] if place is not None else 0.0
        if axis in "YX":
            side = "YX".index(axis)
            moved_nm = image.origin_nm[side] - stack.origin_nm[side]
            start += own * moved_nm / (stack.pixel_size_nm or 1.0)
            own *= finer
        scale.append(own)
        translate.append(start)
        units.append(unit)
    low, high = display_limits(image.data)
    kwargs = {
        "name": f"{source.name} · {title}",
        "scale": scale,
        "translate": translate,
        "units": units,
        "axis_labels": [_LABELS.get(axis, axis.lower()) for axis in axes],
        "colormap": source.colormap,
        "contrast_limits": (low, high),
        "metadata": {METADATA: carried(image, axes)},
    }
    return data, kwargs, "image"


def stack_layer(image: ImageStack, name: str, **extra: Any) -> LayerData:
    """Return the layer of a stack that was made of no other layer."""
    data, axes = _arranged(image)
    steps = [_scale_along(image, axis) for axis in axes]
    origin = [0.0 if image.pixel_size_nm is None else nm for nm in image.origin_nm]
    low, high = display_limits(image.data)
    kwargs = {
        "name": name,
        "scale": [scale for scale, _ in steps],
        "translate": [0.0] * (len(steps) - 2) + origin,
        "units": [unit for _, unit in steps],
        "axis_labels": [_LABELS.get(axis, axis.lower()) for axis in axes],
        "contrast_limits": (low, high),
        "metadata": {METADATA: carried(image, axes)},
        **extra,
    }
    return data, kwargs, "image"


def _arranged(image: ImageStack, like: str = "") -> tuple[Any, str]:
    """Return pixels and axes as a layer shows them: in the order of another layer.

    Else with angle and phase first. napari counts dimensions from the last: only so T
    and Z of a reconstruction, which has neither, lie on those of its raw frames. They
    share their slider then, and their unit; napari warns, and ignores all units, where
    one dimension has units of different kinds.
    """
    axes = image.axes
    if set(axes) <= set(like):
        shown = "".join(axis for axis in like if axis in axes)
    else:
        shown = "".join(sorted(axes, key=lambda axis: axis not in "AP"))
    return image.data.transpose([axes.index(axis) for axis in shown]), shown


def _scale_along(image: ImageStack, axis: str) -> tuple[float, str]:
    """Return scale and unit of an axis of a stack; pixels where none is known."""
    known = {
        "T": (image.frame_interval_s, "s"),
        "Z": (image.z_step_nm, "nm"),
        "Y": (image.pixel_size_nm, "nm"),
        "X": (image.pixel_size_nm, "nm"),
    }
    step, unit = known.get(axis, (None, ""))
    return (1.0, "pixel") if step is None else (step, unit)


def carried(image: ImageStack, axes: str) -> Mapping[str, Any]:
    """Return what a layer of these axes carries of a stack beside its pixels."""
    return {"axes": axes, **image.to_dict()}


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


def _places(axes: str, stack: ImageStack, source: Source) -> list[int | None]:
    """Return which dimension of the layer each axis of a result comes from."""
    free = [n for n, axis in enumerate(source.axes) if axis == "Q"]
    places: list[int | None] = []
    for axis in axes:
        if axis in source.axes:
            places.append(source.axes.index(axis))
            continue
        same = [n for n in free if source.data.shape[n] == stack.size(axis)]
        places.append(same[0] if same else None)
        free = [n for n in free if n not in same[:1]]
    return places
