"""Numbers of the dock Compare against formulas written out here in numpy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Shapes
from scipy.ndimage import correlate1d, gaussian_filter

from napari_dps._qt.bridge.layers import MAP, METADATA, ROLE, TRUTH
from napari_dps._qt.docks.compare import CompareWidget
from napari_dps.core import ImageStack
from napari_dps.metrics.catalogue import metrics_of
from napari_dps.metrics.measure import measure

SIZE = 80
STEP_NM = 40.0


def _fitted(image: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Scale and offset by least squares, of numpy's own solver."""
    slope, offset = np.polyfit(image.ravel(), truth.ravel(), 1)
    return slope * image + offset


def psnr(image: np.ndarray, truth: np.ndarray) -> float:
    error = np.mean((_fitted(image, truth) - truth) ** 2)
    return float(10 * np.log10(np.ptp(truth) ** 2 / error))


def ssim(image: np.ndarray, truth: np.ndarray) -> float:
    x, y = _fitted(image, truth), truth
    weights = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    weights /= weights.sum()

    def mean(plane: np.ndarray) -> np.ndarray:
        across = correlate1d(plane, weights, axis=0)
        return correlate1d(across, weights, axis=1)[5:-5, 5:-5]

    c1, c2 = (0.01 * np.ptp(y)) ** 2, (0.03 * np.ptp(y)) ** 2
    mx, my = mean(x), mean(y)
    vx, vy, both = mean(x * x) - mx**2, mean(y * y) - my**2, mean(x * y) - mx * my
    map_ = (2 * mx * my + c1) * (2 * both + c2)
    return float(np.mean(map_ / ((mx**2 + my**2 + c1) * (vx + vy + c2))))


def nrmse(image: np.ndarray, truth: np.ndarray) -> float:
    error = _fitted(image, truth) - truth
    return float(np.linalg.norm(error) / np.linalg.norm(truth))


def snr(image: np.ndarray, truth: np.ndarray) -> float:
    error = _fitted(image, truth) - truth
    return float(20 * np.log10(truth.std() / np.sqrt(np.mean(error**2))))


def pearson(image: np.ndarray, truth: np.ndarray) -> float:
    return float(np.corrcoef(image.ravel(), truth.ravel())[0, 1])


ORACLES: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "psnr_db": psnr,
    "ssim": ssim,
    "nrmse": nrmse,
    "pearson": pearson,
    "snr_reference_db": snr,
}


@pytest.fixture
def planes() -> tuple[np.ndarray, np.ndarray]:
    """A truth and a noisy image of it at three points of time or depth."""
    rng = np.random.default_rng(5)
    spots = rng.random((3, SIZE, SIZE)) > 0.98
    truth = 1000 * gaussian_filter(spots.astype(np.float64), (0, 2, 2))
    return truth, 0.7 * truth + rng.normal(20, 3, truth.shape)


def _layer(data: np.ndarray, name: str, axes: str) -> Image:
    steps = {"t": 1.0, "z": 100.0}
    return Image(
        data,
        name=name,
        axis_labels=tuple(axes),
        scale=[steps.get(axis, STEP_NM) for axis in axes],
        units=["s" if axis == "t" else "nm" for axis in axes],
    )


def _dock(qtbot: Any, viewer: ViewerModel) -> CompareWidget:
    dock = CompareWidget(viewer)
    qtbot.addWidget(dock)
    dock.show()
    return dock


def _rows(qtbot: Any, dock: CompareWidget) -> dict[str, Any]:
    with qtbot.waitSignal(dock.runner.finished, timeout=60_000):
        dock.buttons["Measure"].click()
    return {row["layer"]: row for row in dock.rows}


def _bold(dock: CompareWidget) -> set[str]:
    """Return the headings of the columns of PSNR and SSIM that have a best."""
    table = dock.table
    return {
        heading
        for column in range(table.columnCount())
        for row in range(table.rowCount())
        if (heading := table.horizontalHeaderItem(column).text().split()[0])
        in ("PSNR", "SSIM")
        and table.item(row, column).font().bold()
    }


@pytest.mark.parametrize("axes", ["yx", "tyx", "zyx"])
@pytest.mark.parametrize("has_region", [False, True])
@pytest.mark.parametrize("has_reference", [False, True])
def test_every_column_is_that_of_the_oracle(
    qtbot: Any,
    viewer: ViewerModel,
    planes: tuple[np.ndarray, np.ndarray],
    axes: str,
    has_region: bool,
    has_reference: bool,
) -> None:
    truth, image = planes
    shown = 2 if len(axes) == 3 else 0
    whole = [stack if len(axes) == 3 else stack[0] for stack in (truth, image)]
    layers = [_layer(data, name, axes) for data, name in zip(whole, "ti", strict=True)]
    for layer in layers:
        viewer.add_layer(layer)
    dock = _dock(qtbot, viewer)
    if len(axes) == 3:
        viewer.dims.set_current_step(0, shown)
    place = np.s_[:, :]
    if has_region:
        part = Shapes(units="nm")
        corners = STEP_NM * np.array([[10, 15], [10, 64], [69, 64], [69, 15]])
        part.add_rectangles(corners)
        viewer.add_layer(part)
        dock.inputs.region.setValue(part)
        place = np.s_[10:70, 15:65]
    dock.inputs.layers.setValue([layers[1]])
    dock.inputs.reference.setValue(layers[0] if has_reference else None)
    row = _rows(qtbot, dock)["i"]
    pair = [stack[shown][place] for stack in (image, truth)]
    for key, oracle in ORACLES.items():
        assert (key in row) == has_reference
        if has_reference:
            assert row[key] == pytest.approx(oracle(*pair), rel=1e-6)
    # The others have oracles of their own in tests/metrics: here, that they get the
    # right pixels.
    cut = [ImageStack(plane, "YX", pixel_size_nm=STEP_NM) for plane in pair]
    expected = measure(cut[0], cut[1] if has_reference else None)
    keys = [metric.key for metric in metrics_of("compare") if metric.key in expected]
    assert len(keys) >= (9 if has_reference else 3)
    for key in keys:
        assert row[key] == pytest.approx(expected[key], rel=1e-6, abs=1e-6), key


def test_resolution_in_z_is_that_of_all_planes(qtbot: Any, viewer: ViewerModel) -> None:
    rng = np.random.default_rng(2)
    noise = rng.normal(size=(12, SIZE, SIZE))
    volume = 100 + 50 * gaussian_filter(noise, 1.5) + 0.1 * noise
    viewer.add_layer(_layer(volume, "stack", "zyx"))
    dock = _dock(qtbot, viewer)
    viewer.dims.set_current_step(0, 7)
    dock.inputs.layers.setValue(list(viewer.layers))
    row = _rows(qtbot, dock)["stack"]
    whole = ImageStack(volume, "ZYX", pixel_size_nm=STEP_NM, z_step_nm=100.0)
    plane = ImageStack(volume[7], "YX", pixel_size_nm=STEP_NM)
    expected = measure(plane, volume=whole)
    for key in ("resolution_z_decorrelation_nm", "resolution_decorrelation_nm"):
        assert row[key] == pytest.approx(expected[key], rel=1e-6)


def test_reference_is_no_competitor_and_doubted_where_it_is_blurrier(
    qtbot: Any, viewer: ViewerModel, planes: tuple[np.ndarray, np.ndarray]
) -> None:
    truth = planes[0][0]
    blurred = gaussian_filter(truth, 4) + np.random.default_rng(1).normal(0, 0.1)
    for data, name in ((truth, "sharp"), (blurred, "blurred")):
        viewer.add_layer(_layer(data, name, "yx"))
    dock = _dock(qtbot, viewer)
    dock.inputs.reference.setValue(viewer.layers["blurred"])
    assert set(dock.inputs.layers.value()) == set(viewer.layers)
    rows = _rows(qtbot, dock)
    assert set(rows) == {"sharp"}
    softer = viewer.add_layer(_layer(gaussian_filter(truth, 1), "softer", "yx"))
    dock.inputs.layers.setValue(list(viewer.layers))
    assert set(_rows(qtbot, dock)) == {"sharp", "softer"}
    assert _bold(dock) == set()  # what rewards blur has no best
    viewer.layers.remove(softer)
    _rows(qtbot, dock)
    assert rows["sharp"]["reference"] == "blurred"
    assert "reward blur" in dock.messages.texts[0]
    dock.inputs.reference.setValue(viewer.layers["sharp"])
    assert set(_rows(qtbot, dock)) == {"blurred"}
    assert dock.messages.texts == ()


def test_truths_wait_to_be_asked_and_maps_are_no_images(
    qtbot: Any, viewer: ViewerModel, planes: tuple[np.ndarray, np.ndarray]
) -> None:
    image = _layer(planes[1][0], "image", "yx")
    truth, errors = (_layer(planes[0][0], name, "yx") for name in ("truth", "errors"))
    truth.metadata[METADATA] = {ROLE: TRUTH}
    errors.metadata[METADATA] = {ROLE: MAP}
    for layer in (image, truth, errors):
        viewer.add_layer(layer)
    dock = _dock(qtbot, viewer)
    assert dock.inputs.layers.value() == [image]
    assert dock.inputs.layers.count() == 2
    dock.inputs.reference.setValue(errors)
    assert dock.comparison().reference is None
    dock.inputs.reference.setValue(truth)
    assert dock.comparison().reference is truth


def test_four_columns_are_shown_and_more_when_asked(
    qtbot: Any, viewer: ViewerModel, planes: tuple[np.ndarray, np.ndarray]
) -> None:
    for stack, name in zip(planes, ("truth", "image"), strict=True):
        viewer.add_layer(_layer(stack[0], name, "yx"))
    dock = _dock(qtbot, viewer)
    dock.inputs.reference.setValue(viewer.layers["truth"])
    _rows(qtbot, dock)
    heads = [dock.table.horizontalHeaderItem(n).text() for n in range(5)]
    assert heads == ["Layer", "PSNR (dB)", "SSIM", "Decorrelation (nm)", "RSP"]
    assert dock.table.columnCount() == 5
    dock.more.setChecked(True)
    assert dock.table.columnCount() > 8


def test_side_by_side_gives_back_what_was_visible(
    viewer: ViewerModel, qtbot: Any, planes: tuple[np.ndarray, np.ndarray]
) -> None:
    for number in range(3):
        viewer.add_layer(_layer(planes[0][number], str(number), "yx"))
    viewer.layers["0"].visible = False
    dock = _dock(qtbot, viewer)
    dock.inputs.layers.setValue([viewer.layers["0"], viewer.layers["1"]])
    dock.buttons["Side by side"].click()
    assert [layer.visible for layer in viewer.layers] == [True, True, False]
    named = [layer.name_overlay.visible for layer in viewer.layers]
    assert named == [True, True, False]
    dock.buttons["Side by side"].click()
    assert [layer.visible for layer in viewer.layers] == [False, True, True]
    assert not any(layer.name_overlay.visible for layer in viewer.layers)


def test_parts_of_the_split_view_are_named_where_they_begin(
    viewer: ViewerModel, qtbot: Any, planes: tuple[np.ndarray, np.ndarray]
) -> None:
    for number, name in enumerate(("cell", "cell · SIM")):
        viewer.add_layer(_layer(planes[0][number], name, "yx"))
    dock = _dock(qtbot, viewer)
    dock.buttons["Split view"].click()
    names = viewer.layers["names in the split view"]
    assert list(names.text.values) == ["cell", "SIM"]
    for share in (0.5, 0.25):
        dock.views.split.setValue(share)
        expected = [[-0.5, -0.5], [-0.5, share * SIZE - 0.5]]
        np.testing.assert_allclose(names.data, expected)
    dock.buttons["Split view"].click()
    assert [layer.name for layer in viewer.layers] == ["cell", "cell · SIM"]
