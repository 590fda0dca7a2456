"""What is compared, and the generators that measure, map and draw it."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari.components import ViewerModel
from napari.layers import Image, Layer, Shapes

from napari_dps._qt.bridge.colours import COLOURS
from napari_dps._qt.bridge.layers import (
    MAP,
    METADATA,
    ROLE,
    TRUTH,
    axes_of,
    describe_layer,
    part_of,
    place_in_nm,
    role_of,
    shown_point,
    stages_behind,
)
from napari_dps._qt.bridge.result_layers import LayerData, stack_layer
from napari_dps._qt.bridge.snapshot import LayerSnapshot
from napari_dps._qt.bridge.wording import in_docks
from napari_dps.core import ImageStack, InputError, Progress, is_raw
from napari_dps.figures.panels import Panel, display_limits, side_by_side
from napari_dps.figures.theme import save_figure
from napari_dps.metrics.error_map import error_map
from napari_dps.metrics.grids import crop
from napari_dps.metrics.measure import measure
from napari_dps.metrics.profile import LineProfile, depth_profile, line_profile
from napari_dps.pipeline import InputSettings, first_plane, first_unit, first_volume
from napari_dps.pipeline.planes import LONGEST_MEASURED_PX

Corners = tuple[tuple[float, float], tuple[float, float]]
"""Two points (y, x) in pixels of a layer: corners of a region, ends of a line."""

Point = tuple[float, float]
"""(y, x) in pixels of a layer."""
Profiles = tuple[str, LineProfile, LineProfile | None]
"""Name of a layer, its profile along a line, and that along z, of z-stacks."""

MeasureRow = dict[str, Any]
"""Name of a layer and its measures."""
_EDGE_PX = 3
_AROUND_PX = 20
"""That is read around a point whose profile along z is wanted."""
_CLEARLY_FINER = 0.85
"""Resolution over that of the reference, below which it is no better judge."""


@dataclass(frozen=True, eq=False)
class Item:
    """A layer to be compared, as it was when asked for.

    Attributes
    ----------
    snapshot : LayerSnapshot
        What the sliders show of it.
    origin_nm : tuple of float
        Where its first pixel lies in the world.
    region : Corners or None
        The part of interest, in its own pixels.
    line : Corners or None
        The line of the profile, in its own pixels.
    depth : LayerSnapshot or None
        What the sliders show with all planes; None where there is but one.
    """

    snapshot: LayerSnapshot
    origin_nm: tuple[float, float]
    region: Corners | None = None
    line: Corners | None = None
    depth: LayerSnapshot | None = None

    @property
    def name(self) -> str:
        """Name of the layer."""
        return self.snapshot.name

    def stack(self) -> ImageStack:
        """Read the pixels: the region, of raw frames with all angles and phases."""
        stack = self.snapshot.to_stack(InputSettings(), None, _ignore)
        stack = first_unit(stack)
        stack = stack.derive(stack.data, origin_nm=self.origin_nm)
        if self.region is None:
            return stack
        (top, left), (bottom, right) = self.region
        rows = slice(round(min(top, bottom)), round(max(top, bottom)) + 1)
        columns = slice(round(min(left, right)), round(max(left, right)) + 1)
        return crop(stack, rows, columns)

    def planes(self, middle: Point | None = None) -> ImageStack | None:
        """Read all planes around a point, or of the region, or in the middle.

        Parameters
        ----------
        middle : (float, float), optional
            (y, x) in pixels: a few pixels around it are read.

        Returns
        -------
        ImageStack or None
            Axes "ZYX"; None where there are no planes.
        """
        if self.depth is None:
            return None
        rows, columns = (
            self._part(axis, None if middle is None else middle[axis])
            for axis in (0, 1)
        )
        part = self.depth.cropped(rows, columns)
        return first_volume(part.to_stack(InputSettings(), None, _ignore))

    def depth_profile(self, profile: LineProfile) -> LineProfile | None:
        """Return the profile along z where one along the line is highest."""
        if self.line is None or self.depth is None:
            return None
        start, end = self.line
        y, x = (a + profile.summit * (b - a) for a, b in zip(start, end, strict=True))
        volume = self.planes((y, x))
        if volume is None:
            return None
        return depth_profile(
            volume, (y - self._part(0, y).start, x - self._part(1, x).start)
        )

    def _part(self, axis: int, middle: float | None) -> slice:
        """Return what is read of all planes: around a point, else as far as allowed."""
        size = self.snapshot.data.shape[axis - 2]
        low, high = 0, size
        if middle is not None:
            low, high = round(middle) - _AROUND_PX, round(middle) + _AROUND_PX
        elif self.region is not None:
            low, high = sorted(round(corner[axis]) for corner in self.region)
        low, high = min(max(low, 0), size - 1), min(max(high, 0), size - 1)
        spare = max(high + 1 - low - LONGEST_MEASURED_PX, 0)
        return slice(low + spare // 2, high + 1 - (spare - spare // 2))


@dataclass(frozen=True)
class Comparison:
    """What is to be compared.

    Attributes
    ----------
    layers : tuple of Image
        The layers.
    reference : Image or None
        The layer that the others are measured against.
    region, line : Shapes or None
        Layers whose last rectangle or line counts.
    """

    layers: tuple[Image, ...] = ()
    reference: Image | None = None
    region: Shapes | None = None
    line: Shapes | None = None

    def item(
        self, viewer: ViewerModel, layer: Image, time_point: int | None = None
    ) -> Item:
        """Note what a viewer shows of a layer, or would at another time point."""
        point = shown_point(viewer, layer)
        has_depth = "Z" in axes_of(layer)
        return Item(
            LayerSnapshot.of(layer, point, time_point),
            place_in_nm(layer),
            None if self.region is None else _corners(self.region, layer),
            None if self.line is None else _corners(self.line, layer),
            LayerSnapshot.of(layer, point, time_point, with_depth=True)
            if has_depth
            else None,
        )

    def items(self, viewer: ViewerModel) -> list[Item]:
        """Note what a viewer shows of the layers."""
        return [self.item(viewer, layer) for layer in self.layers]

    def competitors(self, viewer: ViewerModel) -> list[Item]:
        """Note what a viewer shows of the layers, without the reference."""
        rivals = [layer for layer in self.layers if layer is not self.reference]
        return [self.item(viewer, layer) for layer in rivals]


def measure_all(
    items: Sequence[Item], reference: Item | None
) -> Generator[Progress, None, list[MeasureRow]]:
    """Measure layers, against a reference or alone; a layer that fails tells why."""
    truth = None if reference is None else first_plane(reference.stack())
    rows: list[MeasureRow] = []
    for number, item in enumerate(items):
        yield Progress(number, len(items), item.name)
        try:
            values = measure(item.stack(), truth, volume=item.planes())
        except InputError as error:
            values = {"error": in_docks(error)}
        rows.append({"layer": item.name, **values})
    if truth is not None and reference is not None:
        yield Progress(len(items), len(items), reference.name)
        noted = _noted(reference, truth)
        rows = [{**row, **noted} for row in rows]
    yield Progress(len(items), len(items))
    return rows


def _noted(reference: Item, truth: ImageStack) -> MeasureRow:
    """Return what a row says of its reference: name, field, and how fine it is."""
    measured = measure(truth)
    return {
        "reference": reference.name,
        "field": "whole image" if reference.region is None else "region",
        "reference_resolution_nm": measured.get("resolution_decorrelation_nm"),
    }


def doubt_reference(rows: Sequence[MeasureRow], comparison: Comparison) -> str:
    """Say why likeness to a reference does not tell which image is better; or nothing.

    Parameters
    ----------
    rows : sequence of dict
        As measured against it.
    comparison : Comparison
        With the reference.
    """
    reference = comparison.reference
    if reference is None or role_of(reference) == TRUTH:
        return ""
    finer = sum(map(_is_finer, rows))
    is_widefield = is_raw(axes_of(reference))
    if not finer and not is_widefield:
        return ""
    what = "the widefield mean of raw frames" if is_widefield else "no truth"
    how_many = "all" if finer == len(rows) else f"{finer} of {len(rows)}"
    text = f"the reference is {what}"
    if finer:
        text += f"; {how_many} look finer than it by decorrelation"
    return (
        f"{text}. PSNR, SSIM and NRMSE reward blur here: compare decorrelation, and "
        f"RSP, which blurs an image back first{_haze_taken(comparison)}"
    )


def _haze_taken(comparison: Comparison) -> str:
    """Say where RSP is lower for haze that the reference alone shows; or nothing."""
    if "background" in stages_behind(comparison.reference):
        return ""
    taken = any("background" in stages_behind(layer) for layer in comparison.layers)
    return ", but counts background that was removed as an error" * taken


def _is_finer(row: MeasureRow) -> bool:
    """Whether a layer resolves clearly more than its reference."""
    coarse = row.get("reference_resolution_nm")
    fine = row.get("resolution_decorrelation_nm")
    return bool(coarse and fine and fine < _CLEARLY_FINER * coarse)


def profile_all(
    items: Sequence[Item],
) -> Generator[Progress, None, list[Profiles]]:
    """Return the profile of each layer along its line, and along z at its summit."""
    found = []
    for number, item in enumerate(items):
        yield Progress(number, len(items), item.name)
        if item.line is not None:
            whole = Item(item.snapshot, item.origin_nm).stack()
            profile = line_profile(first_plane(whole), *item.line)
            found.append((item.name, profile, item.depth_profile(profile)))
    return found


@dataclass(frozen=True, eq=False)
class ErrorMapLayer:
    """The error map of a layer against its reference.

    Attributes
    ----------
    data : LayerData
        Of the layer that shows it.
    text : str
        Its figures.
    """

    data: LayerData
    text: str


def map_errors(
    items: Sequence[Item], reference: Item
) -> Generator[Progress, None, list[ErrorMapLayer]]:
    """Return the error map of each layer against a reference, and its figures."""
    maps, largest = [], 0.0
    for number, item in enumerate(items):
        yield Progress(number, len(items), item.name)
        found = error_map(first_plane(item.stack()), first_plane(reference.stack()))
        largest = max(largest, display_limits(found.error.data)[1])
        text = f"{item.name}: RSP {found.rsp:.4f}, RSE {found.rse:.4g} counts"
        if found.rsf_sigma_nm is not None:
            text += f", blur between the two {found.rsf_sigma_nm:.0f} nm (sigma)"
        name = f"{item.name} · error map"
        data = stack_layer(found.error, name, colormap="magma")
        data[1]["metadata"][METADATA][ROLE] = MAP
        maps.append(ErrorMapLayer(data, text))
    for one in maps:  # what is as bright is as wrong
        one.data[1]["contrast_limits"] = (0.0, largest)
    return maps


def draw(items: Sequence[Item], path: Path) -> Generator[Progress, None, Path]:
    """Write a picture of the layers side by side."""
    yield Progress(0, 1, path.name)
    panels = [Panel(item.name, first_plane(item.stack())) for item in items]
    save_figure(side_by_side(panels), path)
    return path


def why_not_compared(layer: Layer) -> str:
    """Say why a layer cannot be compared; empty if it can."""
    if not isinstance(layer, Image):
        return f"a {type(layer).__name__} layer holds no image"
    if part_of(layer):
        return f"a part of the {part_of(layer)}"
    if role_of(layer) == MAP:
        return "a map of another image"
    if layer.rgb:
        return "a colour picture"
    return "not square pixels" if "square" in describe_layer(layer) else ""


def why_no_shapes(layer: Layer) -> str:
    """Say why nothing is drawn in a layer; empty if it is one to draw in."""
    return "" if isinstance(layer, Shapes) else "no shapes"


def shapes_layer(kind: str, images: Sequence[Image]) -> Shapes:
    """Return a layer to draw in, over these images.

    Parameters
    ----------
    kind : {"region", "line"}
        Its name.
    images : sequence of Image
        The first tells the unit, and how thick an edge has to be to be seen.
    """
    units = {"units": images[0].units[-2:]} if images else {}
    return Shapes(
        ndim=2,
        name=kind,
        edge_color=COLOURS[1],
        face_color="transparent",
        edge_width=_EDGE_PX * float(images[0].scale[-1]) if images else 1.0,
        **units,
    )


def _corners(shapes: Shapes, layer: Image) -> Corners | None:
    """Return the ends of the last shape in pixels of a layer."""
    if not shapes.data:
        return None
    vertices = shapes.data[-1]
    ends = vertices[0], vertices[2 if len(vertices) > 2 else 1]
    start, end = (
        layer.world_to_data(_world(shapes, vertex, layer))[-2:] for vertex in ends
    )
    return (float(start[0]), float(start[1])), (float(end[0]), float(end[1]))


def _world(shapes: Shapes, vertex: Any, layer: Image) -> list[float]:
    """Return the place of a vertex in the units and dimensions of a layer."""
    place = []
    for value, unit, other in zip(
        shapes.data_to_world(vertex)[-2:],
        shapes.units[-2:],
        layer.units[-2:],
        strict=True,
    ):
        is_length = unit.is_compatible_with(other)
        place.append(float((value * unit).to(other).magnitude if is_length else value))
    return [0.0] * (layer.ndim - 2) + place


def _ignore(_: str) -> None:
    """Ignore warnings of reading: they were shown when the layer was made."""
