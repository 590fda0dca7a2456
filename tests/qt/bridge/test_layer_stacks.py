"""Layer to stack and back: geometry, axes and history are kept."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Labels, Points

from napari_dps._qt.bridge.layers import (
    METADATA,
    axes_of,
    describe_layer,
    pixel_size_nm,
    place_in_nm,
    shown_point,
    why_not,
)
from napari_dps._qt.bridge.microscope import Microscope
from napari_dps._qt.bridge.result_layers import result_layer, stack_layer
from napari_dps._qt.bridge.run_request import RunRequest, work
from napari_dps._qt.bridge.snapshot import LayerSnapshot
from napari_dps._qt.widgets.microscope import MicroscopeWidget
from napari_dps.core import HistoryEntry, ImageStack, InputError, Optics, finish
from napari_dps.core.context import Context
from napari_dps.pipeline import InputSettings, Settings


def _stack(layer: Image, **given: Any) -> ImageStack:
    values = InputSettings(**given)
    return LayerSnapshot.of(layer).to_stack(
        values, None, lambda text: pytest.fail(text)
    )


def _layer(data: tuple[Any, dict[str, Any], str]) -> Image:
    return Image(data[0], **data[1])


def _finer(stack: ImageStack) -> ImageStack:
    """Return a result on a 2× grid, as a stage gives it."""
    data = np.repeat(np.repeat(stack.data, 2, -1), 2, -2)
    if stack.pixel_size_nm is None:
        return stack.derive(data.astype(np.float32))
    step = stack.pixel_size_nm
    y, x = stack.origin_nm
    return stack.derive(
        data.astype(np.float32),
        pixel_size_nm=step / 2,
        origin_nm=(y - step / 4, x - step / 4),
    )


@pytest.mark.parametrize(
    ("scale", "unit", "expected"),
    [(65, "nm", 65.0), (0.065, "µm", 65.0), (65, "pixel", None), (1, "pixel", None)],
)
def test_pixel_size_follows_scale_and_unit(
    scale: float, unit: str, expected: float | None
) -> None:
    layer = Image(np.zeros((4, 4)), scale=(scale, scale), units=unit)
    assert pixel_size_nm(layer) == expected


def test_pixel_size_of_oblong_pixels_is_refused() -> None:
    layer = Image(np.zeros((4, 4)), scale=(65, 80), units="nm")
    with pytest.raises(InputError, match="square"):
        pixel_size_nm(layer)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (("time", "y", "x"), "TYX"),
        (("angle", "phase", "y", "x"), "APYX"),
        (("t", "Z", "row", "column"), "TZYX"),
        (None, "QYX"),
        (("t", "time", "y", "x"), "QQYX"),
    ],
)
def test_axes_are_read_from_the_labels(
    labels: tuple[str, ...] | None, expected: str
) -> None:
    ndim = len(expected)
    assert axes_of(Image(np.zeros((2,) * ndim), axis_labels=labels)) == expected


@pytest.mark.parametrize(
    ("layer", "takes", "reason"),
    [
        (Labels(np.zeros((4, 4), int)), "YX", "holds no image"),
        (Points(np.zeros((4, 2))), "YX", "holds no image"),
        (Image(np.zeros((4, 4, 3), np.uint8), rgb=True), "YX", "colour"),
        (Image(np.zeros((4, 4), bool)), "YX", "bool"),
        (Image(np.zeros((4, 4))), "APYX", "raw SIM frames are needed"),
        (
            Image(np.zeros((3, 3, 4, 4)), axis_labels=("a", "p", "y", "x")),
            "YX",
            "reconstruct them first",
        ),
        (Image(np.zeros((4, 4))), "YX", ""),
        (Image(np.zeros((9, 4, 4))), "YX", ""),
        (Image(np.zeros((9, 4, 4))), "APYX", ""),
    ],
)
def test_layer_that_does_not_fit_says_why(layer: Any, takes: str, reason: str) -> None:
    found = why_not(layer, takes)
    assert reason in found
    assert bool(found) == bool(reason)


def test_line_about_a_layer_names_sizes_and_pixel_size() -> None:
    layer = Image(
        np.zeros((3, 5, 8, 9)),
        scale=(1, 1, 65, 65),
        units=("pixel", "pixel", "nm", "nm"),
        axis_labels=("angle", "phase", "y", "x"),
    )
    assert describe_layer(layer) == "3 angles × 5 phases × 8 × 9 px, 65 nm"


@pytest.mark.parametrize("unit", ["nm", "µm", "pixel"])
@pytest.mark.parametrize("translate", [(0.0, 0.0), (12.5, -3.0)])
def test_finer_result_lies_exactly_on_its_input(
    unit: str, translate: tuple[float, float]
) -> None:
    """napari draws pixel (0, 0) around `translate`: the outer corners must agree."""
    scale = 0.13
    layer = Image(np.ones((6, 8)), scale=(scale,) * 2, units=unit, translate=translate)
    source, stack = LayerSnapshot.of(layer), _stack(layer)
    if stack.pixel_size_nm is None:  # told by hand, as in the dock
        stack = source.to_stack(InputSettings(), 65.0, lambda _: None)
    result = _layer(result_layer(_finer(stack), source, stack, "finer"))
    assert np.allclose(result.scale, scale / 2)
    for ours, theirs in zip(
        result.extent.world + np.array([[-0.25], [0.25]]) * scale,
        layer.extent.world + np.array([[-0.5], [0.5]]) * scale,
        strict=True,
    ):
        assert np.allclose(ours, theirs)
    assert result.units == layer.units


def test_result_of_a_time_lapse_keeps_its_time_axis() -> None:
    layer = Image(
        np.ones((4, 6, 8)),
        scale=(2.5, 65, 65),
        units=("s", "nm", "nm"),
        axis_labels=("time", "y", "x"),
        translate=(7, 0, 0),
    )
    stack = _stack(layer)
    result = _layer(
        result_layer(_finer(stack), LayerSnapshot.of(layer), stack, "finer")
    )
    assert stack.axes == "TYX"
    assert tuple(result.scale) == (2.5, 32.5, 32.5)
    assert tuple(result.translate) == (7, -16.25, -16.25)
    assert [str(unit) for unit in result.units] == ["second", "nanometer", "nanometer"]
    assert result.axis_labels == ("t", "y", "x")


def _volume(**changes: Any) -> ImageStack:
    values = {"z_step_nm": 125.0, "frame_interval_s": 0.5} | changes
    data = np.ones((2, 3, 6, 8), np.float32)
    return ImageStack(data, "TZYX", pixel_size_nm=65, **values)


def test_layer_of_a_volume_carries_z_step_and_frame_interval() -> None:
    layer = _layer(stack_layer(_volume(), "volume"))
    assert tuple(layer.scale) == (0.5, 125, 65, 65)
    assert [f"{unit:~}" for unit in layer.units] == ["s", "nm", "nm", "nm"]
    back = _stack(layer)
    assert (back.z_step_nm, back.frame_interval_s) == (125.0, 0.5)


@pytest.mark.parametrize("unknown", ["z_step_nm", "frame_interval_s"])
def test_spacing_that_is_not_known_stays_unknown(unknown: str) -> None:
    layer = _layer(stack_layer(_volume(**{unknown: None}), "volume"))
    assert getattr(_stack(layer), unknown) is None


def test_spacings_of_any_unit_reach_the_stack_and_the_result() -> None:
    layer = Image(
        np.ones((2, 3, 6, 8)),
        scale=(250, 0.125, 0.065, 0.065),
        units=("ms", "µm", "µm", "µm"),
        axis_labels=("t", "z", "y", "x"),
    )
    stack = _stack(layer)
    assert (stack.frame_interval_s, stack.z_step_nm) == (0.25, 125.0)
    result = _layer(
        result_layer(_finer(stack), LayerSnapshot.of(layer), stack, "finer")
    )
    assert tuple(result.scale) == (250, 0.125, 0.0325, 0.0325)
    assert result.units == layer.units
    again = _stack(result)
    assert (again.frame_interval_s, again.z_step_nm) == (0.25, 125.0)


def _raw_volume() -> ImageStack:
    shape = {"T": 2, "Z": 3, "A": 3, "P": 5, "Y": 6, "X": 8}
    data = np.arange(np.prod(list(shape.values())), dtype=np.float32)
    stack = ImageStack(data.reshape(*shape.values()), "".join(shape), pixel_size_nm=65)
    return replace(stack, z_step_nm=125.0, frame_interval_s=0.5)


def test_raw_volume_survives_its_layer() -> None:
    stack = _raw_volume()
    layer = _layer(stack_layer(stack, "raw"))
    assert axes_of(layer) == "APTZYX"
    back = _stack(layer)
    assert (back.axes, back.z_step_nm, back.frame_interval_s) == ("TZAPYX", 125, 0.5)
    assert np.array_equal(back.data, stack.data)
    again = _layer(result_layer(back, LayerSnapshot.of(layer), back, "denoised"))
    assert (axes_of(again), again.data.shape) == ("APTZYX", layer.data.shape)
    assert np.array_equal(again.data, layer.data)


def test_result_shares_sliders_and_units_with_its_raw_frames() -> None:
    """napari drops all units, with a warning, where a dimension mixes kinds."""
    viewer = ViewerModel()
    raw = _layer(stack_layer(_raw_volume(), "raw"))
    stack = _stack(raw)
    image = stack.derive(stack.data[:, :, 0, 0], axes="TZYX")
    result = _layer(result_layer(_finer(image), LayerSnapshot.of(raw), stack, "SIM"))
    viewer.add_layer(raw)
    viewer.add_layer(result)
    units = viewer.layers.extent.units
    assert units is not None
    assert [f"{unit:~}" for unit in units[-4:]] == ["s", "nm", "nm", "nm"]
    viewer.dims.set_current_step((2, 3), (1, 2))  # time point 1, plane 2
    for layer in viewer.layers:
        shown = LayerSnapshot.of(layer, shown_point(viewer, layer))
        frames = shown.data.reshape(-1, *shown.data.shape[-2:])
        first = frames[0, ::2, ::2] if layer is result else frames[0]
        assert np.array_equal(first, stack.data[1, 2, 0, 0])


def test_layer_of_another_order_keeps_it_in_its_results() -> None:
    labels = ("t", "a", "p", "y", "x")
    layer = Image(np.ones((2, 3, 5, 6, 8)), axis_labels=labels)
    stack = _stack(layer)
    result = _layer(result_layer(stack, LayerSnapshot.of(layer), stack, "denoised"))
    assert axes_of(result) == "TAPYX"


def test_unnamed_leading_axis_is_time_and_keeps_its_scale() -> None:
    layer = Image(np.ones((4, 6, 8)), scale=(3, 1, 1))
    stack = _stack(layer)
    result = _layer(result_layer(stack, LayerSnapshot.of(layer), stack, "same"))
    assert stack.axes == "TYX"
    assert result.scale[0] == 3


def test_reconstruction_drops_angles_and_phases(raw_layer: Image) -> None:
    stack = _stack(raw_layer)
    assert stack.axes == "APYX"
    data = stack.data.mean(axis=(0, 1)).astype(np.float32)
    image = _finer(stack.derive(data, axes="YX"))
    result = _layer(result_layer(image, LayerSnapshot.of(raw_layer), stack, "SIM"))
    assert result.ndim == 2
    assert tuple(result.scale) == (32.5, 32.5)
    assert result.name == "raw · SIM"


def test_unnamed_frames_are_arranged_as_told() -> None:
    frames = np.arange(15, dtype=np.float32)[:, None, None] * np.ones((15, 4, 4))
    stack = _stack(Image(frames), angles=3, phases=5, order="payx")
    assert stack.axes == "APYX"
    assert stack.data[:, :, 0, 0].tolist() == [
        [float(3 * p + a) for p in range(5)] for a in range(3)
    ]


def test_current_frame_is_the_one_that_the_sliders_show() -> None:
    data = np.arange(5.0)[:, None, None] * np.ones((5, 4, 4))
    layer = Image(data, scale=(2, 1, 1), translate=(10, 0, 0))
    source = LayerSnapshot.of(layer, point=(16.0, 0, 0))
    assert source.axes == "YX"
    assert np.unique(source.data).tolist() == [3.0]


def test_current_frame_is_the_one_shown_of_layers_in_other_units() -> None:
    viewer = ViewerModel()
    data = np.arange(5.0)[:, None, None] * np.ones((5, 4, 4))
    units = ("s", "nm", "nm"), ("ms", "µm", "µm")
    scales = (1, 65, 65), (1000, 0.065, 0.065)
    for scale, unit in zip(scales, units, strict=True):
        viewer.add_image(data, scale=scale, units=unit)
    viewer.dims.set_current_step(0, 3)
    for layer in viewer.layers:
        shown = LayerSnapshot.of(layer, shown_point(viewer, layer))
        assert np.unique(shown.data).tolist() == [3.0]


def test_current_frame_of_raw_frames_keeps_angles_and_phases(raw_layer: Image) -> None:
    source = LayerSnapshot.of(raw_layer, point=(1, 2, 0, 0))
    assert source.axes == "APYX"


def test_optics_and_history_travel_through_a_layer() -> None:
    entry = HistoryEntry("background", {"radius_px": 50.0}, "1", 0.1)
    optics = Optics(na=1.4, emission_nm=520, pixel_size_nm=65)
    stack = ImageStack(
        np.ones((6, 8), np.float32), "YX", 65.0, optics=optics, history=(entry,)
    )
    back = _stack(_layer(stack_layer(stack, "x")))
    assert back.optics == optics
    assert back.history == (entry,)


def test_place_of_a_layer_is_that_of_its_first_pixel_in_nm() -> None:
    layer = Image(
        np.ones((6, 8)), scale=(0.0325,) * 2, units="µm", translate=(-0.01625, 0.5)
    )
    assert place_in_nm(layer) == pytest.approx((-16.25, 500.0))


def test_lazy_and_multiscale_data_are_read_when_needed() -> None:
    import dask.array as da

    lazy = Image(da.ones((3, 6, 8), chunks=(1, 6, 8)))
    assert _stack(lazy).data.sum() == 3 * 48
    pyramid = Image([np.ones((8, 8)), np.ones((4, 4))], multiscale=True)
    assert _stack(pyramid).shape == (8, 8)


def test_metadata_key_is_free_for_others() -> None:
    layer = Image(np.zeros((4, 4)), metadata={"other": 1})
    assert METADATA not in layer.metadata
    assert why_not(layer, "YX") == ""


@pytest.mark.parametrize("na", [1.4, 1.2])
def test_wavelengths_of_channels_stay_when_another_value_is_typed(
    qtbot: Any, microscope: Microscope, na: float
) -> None:
    each = tuple(Optics(na=1.4, emission_nm=nm, pixel_size_nm=65) for nm in (525, 610))
    stack = ImageStack(
        np.random.default_rng(0).poisson(50, (2, 40, 40)), "CYX",
        pixel_size_nm=65, optics=each[0], channel_optics=each,
    )  # fmt: skip
    data, described, _ = stack_layer(stack, "two")
    layer = Image(data, **described)
    widget = MicroscopeWidget(microscope)
    qtbot.addWidget(widget)
    widget.set_layer(layer)
    widget.editors["na"].setValue(na)
    settings = Settings(stages=("background",), optics=widget.value())
    snapshot = LayerSnapshot.of(layer)
    outcome = finish(work(RunRequest(snapshot, settings, Context())))
    carried = outcome.layers[0][1]["metadata"][METADATA]["channel_optics"]
    assert [(o.na, o.emission_nm) for o in carried] == [(na, 525), (na, 610)]
    said = [warning for warning in outcome.warnings if "is used" in warning]
    assert len(said) == (0 if na == 1.4 else 2)
