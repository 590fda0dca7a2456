"""The optics of a stack: what the settings say, then what the file tells."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from napari_dps.core import ImageStack, InputError, Optics
from napari_dps.core.params import describe, parse

OpticsValues = Mapping[str, float | tuple[float, ...]]
"""Fields of `Optics`; where channels differ one value a channel."""

NEEDED = ("na", "emission_nm", "pixel_size_nm")
"""Fields without which there are no optics."""

CONTRADICTION = 0.01
"""Relative difference from which on two values contradict each other: what is engraved
and what software stores are rounded in the third digit."""

_INFOS = {info.name: info for info in describe(Optics)}


def with_optics(
    stack: ImageStack,
    stated: OpticsValues,
    told: Sequence[Mapping[str, float]] | None = None,
    warn: Callable[[str], None] = lambda _: None,
) -> ImageStack:
    """Return a stack with its optics, merged field by field and channel by channel.

    Parameters
    ----------
    stack : ImageStack
        With the pixel size of its file.
    stated : mapping of str to float, or to a tuple of them
        What the user says; goes first.
    told : sequence of mapping, optional
        What the file tells, as `napari_dps.io.optics_told` returns it. Default: the
        optics of the stack.
    warn : callable, optional
        Called with each contradiction between the two.

    Returns
    -------
    ImageStack
        Without optics if they are not whole and the user says nothing of them.

    Raises
    ------
    InputError
        If a value is missing or impossible, or there is not one a channel.

    Examples
    --------
    >>> import numpy as np
    >>> two = ImageStack(np.ones((2, 8, 8)), "CYX", pixel_size_nm=65)
    >>> told = [{"emission_nm": 525.0}, {"emission_nm": 610.0}]
    >>> [o.emission_nm for o in with_optics(two, {"na": 1.4}, told).channel_optics]
    [525.0, 610.0]
    """
    count = stack.size("C")
    _check_counts(stated, count)
    if not stated.keys() - {"pixel_size_nm"}:
        changes = {n: v for n, v in stated.items() if v != stack.pixel_size_nm}
        return stack.derive(stack.data, **changes) if changes else stack
    if told is None:
        told = [_of_stack(stack, channel) for channel in range(count)]
    found = []
    for channel in range(count):
        said = {
            name: value[channel] if isinstance(value, tuple) else value
            for name, value in stated.items()
        }
        label = f"channel {channel}: " if count > 1 else ""
        _tell_contradictions(said, told[channel], label, warn)
        values = {"pixel_size_nm": stack.pixel_size_nm, **told[channel], **said}
        found.append(_whole(values, label))
    return stack.derive(
        stack.data,
        optics=found[0],
        channel_optics=tuple(found) if any(o != found[0] for o in found) else (),
        pixel_size_nm=found[0].pixel_size_nm,
    )


def missing(told: Sequence[Mapping[str, float]], size_nm: float | None) -> list[str]:
    """Return the titles of what a file does not tell of the optics, for any channel.

    Examples
    --------
    >>> missing([{"emission_nm": 525.0}], 65.0)
    ['NA']
    """
    everywhere = set.intersection(*(set(values) for values in told))
    if size_nm is not None:
        everywhere.add("pixel_size_nm")
    return [_INFOS[name].title for name in NEEDED if name not in everywhere]


def _check_counts(stated: OpticsValues, channels: int) -> None:
    for name, value in stated.items():
        if isinstance(value, tuple) and len(value) != channels:
            raise InputError(
                f"values of optics.{name}, one a channel",
                got=len(value),
                allowed=f"{channels}, or one for all",
                field=f"optics.{name}",
            )


def _of_stack(stack: ImageStack, channel: int) -> dict[str, float]:
    """Return what a stack carries of a channel's optics."""
    stored = stack.optics_of(channel)
    return {} if stored is None else stored.model_dump(exclude={"pixel_size_nm"})


def _tell_contradictions(
    said: Mapping[str, float],
    told: Mapping[str, float],
    label: str,
    warn: Callable[[str], None],
) -> None:
    """Warn of values that the file tells otherwise."""
    for name in said:
        if name == "modulation_factor" and told.get(name) == 1:
            continue  # what is taken where nothing else is known
        if told.get(name) and abs(said[name] / told[name] - 1) > CONTRADICTION:
            info = _INFOS[name]
            value = f"{info.title} {said[name]:g} {info.unit}".rstrip()
            other = f"{told[name]:g} {info.unit}".rstrip()
            warn(f"{label}{value} is used; the file says {other}")


def _whole(values: Mapping[str, float | None], label: str) -> Optics:
    """Return the optics, or say what is missing."""
    lacking = [name for name in NEEDED if values.get(name) is None]
    if lacking:
        are, them = ("are", "them") if len(lacking) > 1 else ("is", "it")
        raise InputError(
            f"{label}the optics are incomplete: {' and '.join(lacking)} {are} missing, "
            f"and the file does not tell {them}",
            field=[f"optics.{name}" for name in lacking],
        )
    return parse(Optics, values, "optics")
