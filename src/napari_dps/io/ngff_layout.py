"""Where the first image of a Zarr folder lies, whoever wrote it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from napari_dps.core import InputError
from napari_dps.io.raw import check_series

_SHOWN = 8
_DEEPEST = 4


def find_image(node: Any, number: int | None = None) -> tuple[Any, str]:
    """Find an image of a group.

    Parameters
    ----------
    node : zarr.Group or zarr.Array
        What the folder holds: an image (``multiscales``), the images of bioformats2raw,
        a plate or a well of one, or a bare array.
    number : int, optional
        Of the image, from 0, where the folder lists several. Default: the first.

    Returns
    -------
    (zarr.Group or zarr.Array, str)
        The group with ``multiscales``, or the array; which other images there are,
        else "".

    Raises
    ------
    InputError
        If there is none; says what the folder holds.
    """
    others = ""
    for _ in range(_DEEPEST):
        if hasattr(node, "shape") or "multiscales" in ome_of(node):
            check_series(number or 0, 1)
            return node, others
        kind, names = _images(node)
        if not names:
            raise InputError(_nothing(node))
        found, listed = names[0], "which it lists first"
        if number is not None and len(names) > 1:
            check_series(number, len(names))
            found, number, listed = names[number], None, "which it lists"
        elif len(names) > 1 and not others:
            shown = ", ".join(names[1 : _SHOWN + 1])
            more = (
                f" and {len(names) - 1 - _SHOWN} more"
                if len(names) > _SHOWN + 1
                else ""
            )
            others = f"{len(names)} {kind}: {found} is read; others: {shown}{more}"
        try:
            node = node[found]
        except (KeyError, ValueError) as error:  # ValueError: it leads elsewhere
            raise InputError(f"'{found}', {listed}, is not there") from error
    raise InputError("groups in groups, and no image")


def ome_of(group: Any) -> Mapping[str, Any]:
    """Metadata of OME-Zarr: since 0.5 below a key of their own."""
    attributes = group.attrs.asdict()
    ome = attributes.get("ome", attributes)
    return ome if isinstance(ome, Mapping) else {}


def _images(group: Any) -> tuple[str, list[str]]:
    """Return what a group lists in place of an image, and their paths."""
    ome = ome_of(group)
    if "plate" in ome:
        return "wells of a plate", _paths(ome["plate"], "wells")
    if "well" in ome:
        return "fields of a well", _paths(ome["well"], "images")
    if "bioformats2raw.layout" in ome or "OME" in group:
        listed = ome_of(group["OME"]).get("series") if "OME" in group else None
        if isinstance(listed, list) and listed:
            return "images", [str(name) for name in listed]
        numbers = [name for name in group.group_keys() if name.isdecimal()]
        return "images", sorted(numbers, key=int)
    return "", []


def _paths(table: Any, name: str) -> list[str]:
    entries = table.get(name) if isinstance(table, Mapping) else None
    if not isinstance(entries, list):
        raise InputError(f"its metadata list no {name}")
    return [str(e["path"]) for e in entries if isinstance(e, Mapping) and "path" in e]


def _nothing(group: Any) -> str:
    """Say what a group holds that is no image."""
    inside = sorted(name for name, _ in group.members())
    if not inside:
        return "a Zarr group that is empty"
    shown = ", ".join(inside[:_SHOWN]) + (" …" if len(inside) > _SHOWN else "")
    return (
        f"a Zarr group without an image of its own (no multiscales); it holds {shown}: "
        "open one of them"
    )
