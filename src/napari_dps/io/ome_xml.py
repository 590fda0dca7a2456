"""OME-XML of the 2016-06 schema: written whole, read for what the physics needs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

import numpy as np

from napari_dps.core import ImageStack, InputError
from napari_dps.io import stored
from napari_dps.io.raw import (
    Metadata,
    doubted_length,
    length_nm,
    positive,
    seconds,
    square_pixel,
)

SCHEMA = "http://www.openmicroscopy.org/Schemas/OME/2016-06"
MODULO = "openmicroscopy.org/omero/dimension/modulo"
"""Namespace of the annotation that names dimensions folded into Z, C or T."""

PIXEL_TYPES = {
    "uint8": "uint8",
    "uint16": "uint16",
    "int8": "int8",
    "int16": "int16",
    "float32": "float",
}


_PLANES_A_PAGE = 4096
"""A page can hold the samples of several channels, or tiles of a volume."""

_LARGEST_MODULO = 1_000_000
"""Entries of an axis that is folded into another one."""


def stored_type(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Type in which pixels are written: float32 but for the types of `PIXEL_TYPES`."""
    native = dtype.newbyteorder("=")
    return native if native.name in PIXEL_TYPES else np.dtype(np.float32)


_XSI = "http://www.w3.org/2001/XMLSchema-instance"


def build(stack: ImageStack, name: str, creator: str) -> bytes:
    """Write the OME-XML of a stack whose planes lie in the order T, C, Z, A, P.

    OME knows X, Y, Z, C and T only. Angles and phases are folded into Z, phase
    fastest, as instruments store raw SIM data; the modulo annotation says so to
    Bio-Formats and tifffile, a map annotation restores them exactly.

    Parameters
    ----------
    stack : ImageStack
        Axes in canonical order, a type of `PIXEL_TYPES`.
    name : str
        Name of the image.
    creator : str
        Program and version.

    Returns
    -------
    bytes
        ASCII.
    """
    root = Element(
        "OME",
        {
            "xmlns": SCHEMA,
            "xmlns:xsi": _XSI,
            "xsi:schemaLocation": f"{SCHEMA} {SCHEMA}/ome.xsd",
            "Creator": creator,
        },
    )
    if stack.optics is not None:
        instrument = SubElement(root, "Instrument", ID="Instrument:0")
        lens_na = repr(stack.optics.na)
        SubElement(instrument, "Objective", ID="Objective:0:0", LensNA=lens_na)
    image = SubElement(root, "Image", ID="Image:0", Name=_legal(name))
    if stack.optics is not None:
        SubElement(image, "InstrumentRef", ID="Instrument:0")
        index = repr(stack.optics.refractive_index)
        SubElement(
            image, "ObjectiveSettings", ID="Objective:0:0", RefractiveIndex=index
        )
    _add_pixels(image, stack)
    annotations = SubElement(root, "StructuredAnnotations")
    # tifffile looks for the modulo annotation in the first reference only.
    if {"A", "P"} & set(stack.axes):
        _add_modulo(annotations, stack)
        SubElement(image, "AnnotationRef", ID="Annotation:Modulo")
    _add_map(annotations, stored.encode(stack))
    SubElement(image, "AnnotationRef", ID="Annotation:napari-dps")
    xml: bytes = ElementTree.tostring(root, encoding="us-ascii", xml_declaration=True)
    return xml


def _add_pixels(image: Element, stack: ImageStack) -> None:
    sizes = {axis: stack.size(axis) for axis in "XYCT"}
    sizes["Z"] = stack.size("Z") * stack.size("A") * stack.size("P")
    attributes = {
        "ID": "Pixels:0",
        "DimensionOrder": "XYZCT",
        "Type": PIXEL_TYPES[stack.data.dtype.name],
        **{f"Size{axis}": str(sizes[axis]) for axis in "XYZCT"},
    }
    pixels = SubElement(image, "Pixels", attributes)
    spacings = {
        "PhysicalSizeX": (stack.pixel_size_nm, "nm"),
        "PhysicalSizeY": (stack.pixel_size_nm, "nm"),
        "PhysicalSizeZ": (stack.z_step_nm, "nm"),
        "TimeIncrement": (stack.frame_interval_s, "s"),
    }
    for attribute, (value, unit) in spacings.items():
        if value is not None:
            pixels.set(attribute, repr(float(value)))
            pixels.set(f"{attribute}Unit", unit)
    for index in range(sizes["C"]):
        channel = SubElement(
            pixels, "Channel", ID=f"Channel:0:{index}", SamplesPerPixel="1"
        )
        if index < len(stack.channel_names):
            channel.set("Name", _legal(stack.channel_names[index]))
        optics = stack.optics_of(index)
        if optics is not None:
            channel.set("EmissionWavelength", repr(optics.emission_nm))
            channel.set("EmissionWavelengthUnit", "nm")
    planes = sizes["T"] * sizes["C"] * sizes["Z"]
    SubElement(pixels, "TiffData", IFD="0", PlaneCount=str(planes))
    y_nm, x_nm = (repr(float(value)) for value in stack.origin_nm)
    position = {"PositionX": x_nm, "PositionXUnit": "nm"}
    position |= {"PositionY": y_nm, "PositionYUnit": "nm"}
    SubElement(pixels, "Plane", {"TheZ": "0", "TheC": "0", "TheT": "0", **position})


def _add_modulo(annotations: Element, stack: ImageStack) -> None:
    size = stack.size("A") * stack.size("P")
    kind, text = "other", "SIM angle x phase, phase fastest"
    if not stack.is_raw:
        kind, text = "angle", "SIM angle"
    elif "A" not in stack.axes:
        kind, text = "phase", "SIM phase"
    annotation = SubElement(
        annotations, "XMLAnnotation", ID="Annotation:Modulo", Namespace=MODULO
    )
    modulo = SubElement(SubElement(annotation, "Value"), "Modulo")
    modulo.set("namespace", "http://www.openmicroscopy.org/Schemas/Additions/2011-09")
    SubElement(
        modulo,
        "ModuloAlongZ",
        Type=kind,
        TypeDescription=text,
        Start="0",
        Step="1",
        End=str(size - 1),
    )


def _add_map(annotations: Element, texts: Mapping[str, str]) -> None:
    annotation = SubElement(
        annotations,
        "MapAnnotation",
        ID="Annotation:napari-dps",
        Namespace=stored.NAMESPACE,
    )
    value = SubElement(annotation, "Value")
    for name, text in texts.items():
        SubElement(value, "M", K=name).text = text


def _legal(text: str) -> str:
    """Replace the characters that XML 1.0 forbids."""
    return "".join(
        c if c in "\t\n\r" or (c >= " " and not "\ud800" <= c <= "\udfff") else "?"
        for c in text
        if c not in "\ufffe\uffff"
    )


def tree(xml: str) -> Element:
    """Read untrusted OME-XML of any schema version.

    Raises
    ------
    InputError
        If it is not well-formed, or defines entities.
    """
    # An entity can expand to gigabytes; OME-XML has no use for them.
    if "<!ENTITY" in xml or "<!DOCTYPE" in xml:
        raise InputError("the OME-XML of the file defines entities: refused")
    try:
        return ElementTree.fromstring(xml)
    except (ElementTree.ParseError, ValueError) as error:
        raise InputError(f"the OME-XML of the file is damaged: {error}") from error


def images(root: Element) -> list[tuple[Element, Element]]:
    """Return each image and its pixels, in the order of the file."""
    found = [(image, image.find("{*}Pixels")) for image in root.findall("{*}Image")]
    return [(image, pixels) for image, pixels in found if pixels is not None]


def check_promises(xml: str, pages: int) -> None:
    """Refuse numbers for which a reader would make long tables before it looks.

    Parameters
    ----------
    xml : str
        Untrusted OME-XML.
    pages : int
        Pages that the file holds.

    Raises
    ------
    InputError
        If more planes are promised than there can be.
    """
    limit = _PLANES_A_PAGE * pages
    # Elements are told by the end of their names, as tifffile does.
    for element in tree(xml).iter():
        tag = str(element.tag)
        counts = [element.get(name, "0") for name in ("PlaneCount", "NumPlanes")]
        if tag.endswith("TiffData") and any(_above(n, pages) for n in counts):
            raise InputError(
                f"truncated: {max(counts)} planes promised, {pages} present"
            )
        if tag.endswith("Pixels"):
            sizes = [element.get(f"Size{axis}", "1") for axis in "ZCT"]
            if any(_above(n, limit) for n in sizes) or _product(sizes) > limit:
                text = " × ".join(sizes)
                raise InputError(
                    f"truncated: {text} planes promised, {pages} pages present"
                )
        if tag[:-1].endswith("Along") and "Start" in element.attrib:
            start, end = positive(element.get("Start")), positive(element.get("End"))
            step = positive(element.get("Step", "1"))
            if step is None or ((end or 0) - (start or 0)) / step > _LARGEST_MODULO:
                raise InputError("the OME-XML of the file is damaged: modulo axis")


def _product(texts: list[str]) -> int:
    return math.prod(int(text) for text in texts if text.strip().isdecimal())


def _above(text: str, limit: int) -> bool:
    try:
        return int(text) > limit
    except ValueError:
        return False  # the reader will say so


def parse(xml: str, number: int = 0) -> Metadata:
    """Read the metadata of an image.

    Parameters
    ----------
    xml : str
        Untrusted OME-XML of any schema version.
    number : int
        Of the images, from 0.

    Returns
    -------
    Metadata

    Raises
    ------
    InputError
        If it is not well-formed, or defines entities.
    """
    root = tree(xml)
    described = images(root)[number : number + 1]
    if not described:
        return Metadata()
    image, pixels = described[0]
    pixel_size_nm, doubt = square_pixel(
        _length(pixels, "PhysicalSizeX"), _length(pixels, "PhysicalSizeY")
    )
    doubt = doubt or doubted_length(
        pixels.get("PhysicalSizeX"), pixels.get("PhysicalSizeXUnit", "µm"), "pixel size"
    )
    channels = pixels.findall("{*}Channel")
    names = tuple(channel.get("Name", "") for channel in channels)
    emissions = tuple(_length(c, "EmissionWavelength", "nm") for c in channels)
    settings = image.find("{*}ObjectiveSettings")
    metadata = Metadata(
        pixel_size_nm=pixel_size_nm,
        z_step_nm=_length(pixels, "PhysicalSizeZ"),
        frame_interval_s=seconds(
            pixels.get("TimeIncrement"), pixels.get("TimeIncrementUnit", "s")
        ),
        channel_names=names if any(names) else (),
        na=_lens_na(root, settings),
        emission_nm=emissions[0] if len(set(emissions)) == 1 else None,
        channel_emission_nm=emissions if any(emissions) else (),
        refractive_index=positive(
            None if settings is None else settings.get("RefractiveIndex")
        ),
        warnings=(doubt,) if doubt else (),
    )
    return stored.decode(_map_values(root), metadata)


def _length(element: Element, attribute: str, unit: str = "µm") -> float | None:
    return length_nm(element.get(attribute), element.get(f"{attribute}Unit", unit))


def _lens_na(root: Element, settings: Element | None) -> float | None:
    objectives = root.findall("{*}Instrument/{*}Objective")
    wanted = None if settings is None else settings.get("ID")
    for objective in objectives:
        if objective.get("ID") == wanted or len(objectives) == 1:
            return positive(objective.get("LensNA"))
    return None


def _map_values(root: Element) -> dict[str, str]:
    for annotation in root.findall("{*}StructuredAnnotations/{*}MapAnnotation"):
        if annotation.get("Namespace") == stored.NAMESPACE:
            pairs = annotation.findall("{*}Value/{*}M")
            return {pair.get("K", ""): pair.text or "" for pair in pairs}
    return {}
