"""What a file tells of the optics, channel by channel, whole or in part."""

from __future__ import annotations

from collections.abc import Callable

from napari_dps.core import ImageStack, Optics
from napari_dps.io.raw import Metadata

OpticsTold = dict[str, float]
"""Fields of `Optics` that a file tells, without the pixel size."""


def optics_told(metadata: Metadata, channels: int) -> tuple[OpticsTold, ...]:
    """Return what metadata tell of the optics of each channel.

    Parameters
    ----------
    metadata : Metadata
        Of a file, or of a layer.
    channels : int
        Number of channels of the image.

    Returns
    -------
    tuple of dict
        Fields of `Optics` by name, an entry a channel; what is not told is absent. The
        pixel size is that of the image, not of its optics.

    Examples
    --------
    >>> two = Metadata(refractive_index=1.406, channel_emission_nm=(525.0, None))
    >>> optics_told(two, 2)
    ({'refractive_index': 1.406, 'emission_nm': 525.0}, {'refractive_index': 1.406})
    """
    each = metadata.channel_optics
    if metadata.optics is not None:
        stored = each if len(each) == channels else (metadata.optics,) * channels
        return tuple(o.model_dump(exclude={"pixel_size_nm"}) for o in stored)
    emissions = metadata.channel_emission_nm
    if len(emissions) != channels:
        emissions = (metadata.emission_nm,) * channels
    shared = {"na": metadata.na, "refractive_index": metadata.refractive_index}
    return tuple(
        {n: v for n, v in {**shared, "emission_nm": e}.items() if v is not None}
        for e in emissions
    )


def with_stored_optics(
    stack: ImageStack, metadata: Metadata, warn: Callable[[str], None]
) -> ImageStack:
    """Attach the optics of metadata that tell them for all channels of a stack.

    Parameters
    ----------
    stack : ImageStack
        Without optics.
    metadata : Metadata
        Of its file.
    warn : callable
        Called when the metadata's values are impossible, which are then left out.
    """
    if stack.pixel_size_nm is None:
        return stack
    told = optics_told(metadata, stack.size("C"))
    if not all({"na", "emission_nm"} <= values.keys() for values in told):
        return stack
    try:
        found = tuple(Optics(pixel_size_nm=stack.pixel_size_nm, **v) for v in told)
    except ValueError:
        warn("the optics in the file's metadata are impossible: ignored")
        return stack
    each = found if any(optics != found[0] for optics in found) else ()
    return stack.derive(stack.data, optics=found[0], channel_optics=each)
