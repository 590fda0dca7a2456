"""A plain layer as raw frames: ways to read it, and the layers that a reading gives."""

from collections.abc import Generator
from dataclasses import dataclass, replace

from napari.layers import Image

from napari_dps._qt.bridge.layers import FILE, METADATA, file_name
from napari_dps._qt.bridge.result_layers import stack_layer
from napari_dps._qt.bridge.snapshot import LayerSnapshot
from napari_dps.core import ImageStack, Progress
from napari_dps.figures.raw_pictures import RawPicture, raw_picture
from napari_dps.io import (
    RawImage,
    RawReading,
    arrange,
    fetch,
    pick,
    raw_readings,
)
from napari_dps.pipeline import InputSettings


@dataclass(frozen=True, eq=False)
class PicturedReading:
    """A way to read the frames of a layer, and what it looks like."""

    reading: RawReading
    picture: RawPicture


def look_at_frames(
    snapshot: LayerSnapshot,
) -> Generator[Progress, None, list[PicturedReading]]:
    """Return the ways to read a layer; call it in a worker's thread."""
    yield Progress(0, 1, "looking at the frames")
    raw = snapshot.unread()
    frames = raw.data.reshape(-1, *raw.data.shape[-2:])
    pictured = []
    for reading in raw_readings(frames):
        asked = InputSettings(
            angles=reading.angles,
            phases=reading.phases,
            order=reading.order,
            frames=reading.frames,
        )
        stack = _arranged(replace(raw, data=frames, axes="QYX"), asked, None)
        first = (0,) * (len(stack.shape) - 4)
        pictured.append(PicturedReading(reading, raw_picture(fetch(stack.data[first]))))
        yield Progress(0, 1)
    return pictured


def layers_of(
    layer: Image, asked: InputSettings, other_frames: str | None, size_nm: float | None
) -> list[Image]:
    """Return the layers of raw frames that a reading of a plain layer gives.

    Nothing is read of lazy data.

    Parameters
    ----------
    layer : Image
        That does not name its angles and phases.
    asked : InputSettings
        How to read it.
    other_frames : str or None
        Frames that are no raw ones, as for ``InputSettings.frames``.
    size_nm : float or None
        Pixel size, where it is known.

    Raises
    ------
    InputError
        If the frames do not fit.
    """
    raw = LayerSnapshot.of(layer).unread()
    found = [_layer(_arranged(raw, asked, size_nm), layer.name, layer)]
    if other_frames is not None:
        rest = InputSettings(frames=other_frames)
        name = f"{layer.name} · widefield frames"
        found.insert(0, _layer(_arranged(raw, rest, size_nm), name, layer))
        found[0].visible = False
    return found


def _arranged(raw: RawImage, asked: InputSettings, size_nm: float | None) -> ImageStack:
    return arrange(
        pick(raw, channel=None, frames=asked.frames),
        angles=asked.angles,
        phases=asked.phases,
        order=asked.order,
        pixel_size_nm=size_nm,
        lazy=True,
        check=False,
        warn=lambda _: None,
    )


def _layer(stack: ImageStack, name: str, like: Image) -> Image:
    data, kwargs, _ = stack_layer(stack, name, colormap=like.colormap)
    kwargs["contrast_limits"] = like.contrast_limits
    kwargs["metadata"][METADATA][FILE] = file_name(like)
    return Image(data, **kwargs)
