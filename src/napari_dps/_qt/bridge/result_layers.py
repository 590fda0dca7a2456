"""Stacks of the pipeline as layers, at their place and with all they carry."""

from typing import Any

from napari_dps._qt.bridge.colours import MORE_AND_LESS
from napari_dps._qt.bridge.layers import BASE, FILE, MAP, MAP_TITLE, METADATA, ROLE
from napari_dps._qt.bridge.snapshot import LayerSnapshot
from napari_dps.core import ImageStack
from napari_dps.figures.panels import display_limits

_LABELS = {"A": "angle", "P": "phase"}
_SIGNED = {"invented", "residual"}
"""Maps whose values are below and above 0."""
_TITLES = {"invented": "invented?"}
_SIGNED_SHARE = 0.25
"""Of the range that the image shows: as far as its signed maps go, so that little is
faint there."""

LayerData = tuple[Any, dict[str, Any], str]
"""What napari makes a layer of: data, keyword arguments, type."""


def result_layer(
    image: ImageStack, snapshot: LayerSnapshot, stack: ImageStack, title: str
) -> LayerData:
    """Return the layer of a result, lying exactly on its input.

    Parameters
    ----------
    image : ImageStack
        The result.
    snapshot : LayerSnapshot
        The layer that it was made of.
    stack : ImageStack
        That layer as the pipeline saw it.
    title : str
        What was done.
    """
    data, axes = _arranged(image, like=snapshot.axes)
    places = _places(axes, stack, snapshot)
    sets = _sets_of_frames(stack, snapshot)
    finer = (image.pixel_size_nm or 1.0) / (stack.pixel_size_nm or 1.0)
    scale, translate, units = [], [], []
    for axis, place in zip(axes, places, strict=True):
        step, unit = _scale_along(image, axis)
        if place is not None:
            step, unit = snapshot.scale[place], snapshot.units[place]
            if axis == "T":  # a result after every angle: more of them in that time
                seen, shown = snapshot.data.shape[place], image.size("T")
                step *= 1 if shown == seen else (seen - 1) / max(shown - 1, 1)
        start = snapshot.translate[place] if place is not None else 0.0
        if axis == "T" and place is None and sets is not None:
            start, step, unit = sets
        if axis in "YX":
            side = "YX".index(axis)
            moved_nm = image.origin_nm[side] - stack.origin_nm[side]
            start += step * moved_nm / (stack.pixel_size_nm or 1.0)
            step *= finer
        scale.append(step)
        translate.append(start)
        units.append(unit)
    kwargs = {
        **_common(image, axes, f"{snapshot.base} · {title}"),
        "scale": scale,
        "translate": translate,
        "units": units,
        "colormap": snapshot.colormap,
    }
    kwargs["metadata"][METADATA] |= {BASE: snapshot.base, FILE: snapshot.file}
    return data, kwargs, "image"


def map_layer(name: str, made: LayerData, image: LayerData) -> LayerData:
    """Return the layer of a map.

    Parameters
    ----------
    name : str
        Of the map.
    made : LayerData
        Its pixels as a layer of a result.
    image : LayerData
        The layer of the image that it tells of.
    """
    data, kwargs, kind = made
    low, high = image[1]["contrast_limits"]
    reach = _SIGNED_SHARE * (high - low)
    shown = (
        {
            "colormap": MORE_AND_LESS,
            "contrast_limits": (-reach, reach),
            "blending": "additive",
        }
        if name in _SIGNED
        else {"colormap": "magma"}
    )
    title = _TITLES.get(name, name)
    kwargs["metadata"][METADATA] |= {ROLE: MAP, MAP_TITLE: title}
    return data, {**kwargs, **shown, "name": f"{image[1]['name']} · {title}"}, kind


def stack_layer(image: ImageStack, name: str, **extra: Any) -> LayerData:
    """Return the layer of a stack that was made of no other layer."""
    data, axes = _arranged(image)
    steps = [_scale_along(image, axis) for axis in axes]
    origin = [0.0 if image.pixel_size_nm is None else nm for nm in image.origin_nm]
    kwargs = {
        **_common(image, axes, name),
        "scale": [scale for scale, _ in steps],
        "translate": [0.0] * (len(steps) - 2) + origin,
        "units": [unit for _, unit in steps],
        **extra,
    }
    return data, kwargs, "image"


def _common(image: ImageStack, axes: str, name: str) -> dict[str, Any]:
    """Return name, labels, contrast and metadata of the layer of a stack."""
    return {
        "name": name,
        "axis_labels": [_LABELS.get(axis, axis.lower()) for axis in axes],
        "contrast_limits": display_limits(image.data),
        "metadata": {METADATA: {"axes": axes, **image.to_dict()}},
    }


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
    steps = {
        "T": (image.frame_interval_s, "s"),
        "Z": (image.z_step_nm, "nm"),
        "Y": (image.pixel_size_nm, "nm"),
        "X": (image.pixel_size_nm, "nm"),
    }
    step, unit = steps.get(axis, (None, ""))
    return (1.0, "pixel") if step is None else (step, unit)


def _sets_of_frames(
    stack: ImageStack, snapshot: LayerSnapshot
) -> tuple[float, float, Any] | None:
    """Return start, step and unit of the time of a plain stack of raw frames.

    So that the slider, which counts its frames, shows the result of the set that a
    frame belongs to; at the numbers of the time points most would lie beyond its end.
    """
    frames = stack.size("A") * stack.size("P")
    for place, axis in enumerate(snapshot.axes):
        if axis == "Q" and snapshot.data.shape[place] == frames * stack.size("T"):
            scale = snapshot.scale[place]
            start = snapshot.translate[place] + scale * (frames - 1) / 2
            return start, scale * frames, snapshot.units[place]
    return None


def _places(axes: str, stack: ImageStack, snapshot: LayerSnapshot) -> list[int | None]:
    """Return which dimension of the layer each axis of a result comes from."""
    free = [n for n, axis in enumerate(snapshot.axes) if axis == "Q"]
    places: list[int | None] = []
    for axis in axes:
        if axis in snapshot.axes:
            places.append(snapshot.axes.index(axis))
            continue
        same = [n for n in free if snapshot.data.shape[n] == stack.size(axis)]
        places.append(same[0] if same else None)
        free = [n for n in free if n not in same[:1]]
    return places
