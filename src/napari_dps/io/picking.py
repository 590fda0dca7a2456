"""Parts of what a file holds: some of its frames, one of its channels."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_dps.core import InputError
from napari_dps.io.lazy import Planes
from napari_dps.io.raw import Metadata, RawImage

_RANGES = re.compile(r"\d+(-\d+)?(,\d+(-\d+)?)*(/\d+)?")
_ALLOWED = "numbers from 0, 0-8 or 0,2,4-8; 0-8/10 for those of every 10"


def pick(raw: RawImage, *, channel: int | None, frames: str | None) -> RawImage:
    """Return some frames, and one channel, of an image as a file holds it.

    Parameters
    ----------
    raw : RawImage
        Its axes are those of all its dimensions.
    channel : int, optional
        From 0; default: all.
    frames : str, optional
        Frames in the order of the file, from 0, of the channel that is picked: ``0-8``,
        ``0,2,4-8``; ``0-8/10`` for the first nine of every ten. Default: all.

    Returns
    -------
    RawImage
        Nothing is read of lazy data.

    Raises
    ------
    InputError
        If there is no such channel or frame.

    Examples
    --------
    >>> raw = RawImage(np.zeros((20, 4, 4)), "TYX", Metadata())
    >>> nine = pick(raw, channel=None, frames="0-8/10")
    >>> nine.data.shape, nine.axes
    ((2, 9, 4, 4), 'QQYX')
    """
    if channel is None and frames is None:
        return raw
    is_known = isinstance(raw.data, np.ndarray | Planes)
    raw = unfolded(raw if is_known else replace(raw, data=Planes.of(raw.data)))
    if channel is not None:
        raw = _channel(raw, channel)
    return raw if frames is None else _frames(raw, frames)


def unfolded(raw: RawImage) -> RawImage:
    """Undo the folding of `napari_dps.io.save`; dimensions of one entry are dropped.

    A file that other programs have changed since then keeps its own axes.
    """
    metadata = raw.metadata
    axes, shape = metadata.stored_axes, metadata.stored_shape
    if not (
        axes.endswith("YX")
        and len(axes) == len(shape)
        and shape[-2:] == raw.data.shape[-2:]
        and math.prod(shape) == raw.data.size
    ):
        kept = [i for i, n in enumerate(raw.data.shape[:-2]) if n > 1]
        shape = tuple(raw.data.shape[i] for i in kept) + tuple(raw.data.shape[-2:])
        axes = "".join(raw.axes[i] for i in kept) + "YX"
    metadata = replace(metadata, stored_axes="", stored_shape=())
    return replace(raw, data=raw.data.reshape(*shape), axes=axes, metadata=metadata)


def frame_numbers(text: str) -> tuple[list[int], int | None]:
    """Read frames as a person writes them: their numbers, and of how many each time.

    Raises
    ------
    InputError
        Naming what is allowed.

    Examples
    --------
    >>> frame_numbers("0, 2, 4-6"), frame_numbers("0-2/4")
    (([0, 2, 4, 5, 6], None), ([0, 1, 2], 4))
    """
    clean = "".join(text.split())
    if not _RANGES.fullmatch(clean) or len(clean) > 1000:
        raise InputError("numbers of frames", got=text, allowed=_ALLOWED)
    listed, _, every = clean.partition("/")
    numbers: list[int] = []
    for part in listed.split(","):
        first, _, last = part.partition("-")
        start, stop = int(first), int(last or first) + 1
        if stop <= start or stop > 10**7:
            raise InputError("numbers of frames", got=text, allowed=_ALLOWED)
        numbers.extend(range(start, stop))
    if len(set(numbers)) < len(numbers) or (every and max(numbers) >= int(every)):
        raise InputError("numbers of frames", got=text, allowed=_ALLOWED)
    return numbers, int(every) if every else None


def _channel(raw: RawImage, channel: int) -> RawImage:
    axis = raw.axes.find("C")
    count = 1 if axis < 0 else raw.data.shape[axis]
    if channel >= count:
        of_file = f"0 to {count - 1}" if count > 1 else "0: the file has one channel"
        raise InputError(field="input.channel", got=channel, allowed=of_file)
    if axis < 0:
        return raw
    index = np.arange(math.prod(raw.data.shape[:-2])).reshape(raw.data.shape[:-2])
    chosen = np.take(index, channel, axis=axis)
    return replace(
        raw,
        data=_planes(raw.data, chosen),
        axes=raw.axes.replace("C", ""),
        metadata=_metadata_of(raw.metadata, channel, count),
    )


def _metadata_of(metadata: Metadata, channel: int, count: int) -> Metadata:
    """Return what metadata say of one channel."""

    def of_channel(values: tuple[Any, ...]) -> tuple[Any, ...]:
        return values[channel : channel + 1] if len(values) == count else ()

    waves = of_channel(metadata.channel_emission_nm)
    optics = of_channel(metadata.channel_optics)
    patterns = tuple(
        pattern.model_copy(update={"channel_index": 0})
        for pattern in metadata.patterns
        if pattern.channel_index == channel
    )
    return replace(
        metadata,
        channel_names=of_channel(metadata.channel_names),
        channel_emission_nm=waves,
        emission_nm=waves[0] if waves else metadata.emission_nm,
        channel_optics=(),
        optics=optics[0] if optics else metadata.optics,
        patterns=patterns,
    )


def _frames(raw: RawImage, text: str) -> RawImage:
    numbers, every = frame_numbers(text)
    lead = raw.data.shape[:-2]
    total = math.prod(lead)
    of_each = every or total
    if max(numbers) >= total or total % of_each:
        allowed = f"frames 0 to {total - 1} of the file"
        if every and total % every:
            allowed = f"a part of the file's {total} frames that divides them"
        raise InputError(field="input.frames", got=text, allowed=allowed)
    chosen = np.arange(total).reshape(-1, of_each)[:, numbers]
    kept = [] if total == of_each else [(total // of_each, "Q")]
    if math.prod(lead[:-1]) == total // of_each:  # the innermost dimension alone is cut
        kept = list(zip(lead[:-1], raw.axes, strict=False))
    shape = (*(size for size, _ in kept), len(numbers))
    axes = "".join(axis for _, axis in kept) + "QYX"
    return replace(raw, data=_planes(raw.data, chosen.reshape(shape)), axes=axes)


def _planes(
    data: NDArray[Any] | Planes, chosen: NDArray[np.intp]
) -> NDArray[Any] | Planes:
    """Return planes by their numbers; of lazy data nothing is read."""
    plane = data.shape[-2:]
    if isinstance(data, Planes):
        return replace(data, index=data.index.ravel()[chosen])
    flat = data.reshape(-1, *plane)
    return flat[chosen.ravel()].reshape(*chosen.shape, *plane)
