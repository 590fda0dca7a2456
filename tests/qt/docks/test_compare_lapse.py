"""Compare over time: at each time point what is measured of it alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from scipy.ndimage import gaussian_filter

from napari_dps._qt.docks.compare import CompareWidget
from napari_dps.core import ImageStack
from napari_dps.metrics.measure import measure


@pytest.fixture
def lapse() -> np.ndarray:
    rng = np.random.default_rng(5)
    spots = (rng.random((3, 64, 64)) > 0.99).astype(np.float32)
    clean = 500 * gaussian_filter(spots, (0, 2, 2))
    noise = np.array([1.0, 4.0, 16.0])[:, None, None] * rng.normal(size=clean.shape)
    return np.stack([clean, clean + noise]).astype(np.float32)


def test_measures_over_time_are_those_of_each_time_point(
    qtbot: Any, viewer: ViewerModel, lapse: np.ndarray
) -> None:
    clean, noisy = (
        viewer.add_image(
            data,
            name=name,
            axis_labels=("t", "y", "x"),
            scale=(2, 50, 50),
            units=("s", "nm", "nm"),
        )
        for data, name in zip(lapse, ("clean", "noisy"), strict=True)
    )
    dock = CompareWidget(viewer)
    qtbot.addWidget(dock)
    dock.show()
    assert not dock.lapse.isVisible()
    dock.inputs.reference.setValue(clean)
    dock.inputs.layers.setValue([noisy])
    with qtbot.waitSignal(dock.runner.finished, timeout=60_000):
        dock.buttons["Over time"].click()
    found = dock.lapse.measures
    assert found is not None
    assert found.times == (0.0, 2.0, 4.0)
    for number, row in enumerate(found.rows["noisy"]):
        image, truth = (
            ImageStack(data[number], "YX", pixel_size_nm=50.0)
            for data in (noisy.data, clean.data)
        )
        expected = measure(image, truth)
        for key in ("psnr_db", "ssim", "nrmse"):
            assert row[key] == pytest.approx(expected[key], abs=1e-6)
    (curve,) = dock.lapse.plot.curves
    assert curve.x.tolist() == [0.0, 2.0, 4.0]
    assert np.all(np.diff(curve.y) < 0)  # the noise grows
    dock.lapse.metric.setCurrentIndex(1)
    assert dock.lapse.plot.curves[0].y[0] != curve.y[0]


def test_without_a_lapse_there_is_nothing_over_time(
    qtbot: Any, viewer: ViewerModel, lapse: np.ndarray
) -> None:
    one = viewer.add_image(lapse[0, 0], name="one")
    dock = CompareWidget(viewer)
    qtbot.addWidget(dock)
    dock.show()
    button = dock.buttons["Over time"]
    assert not button.isEnabled()
    assert "several time points" in button.toolTip()
    film = viewer.add_image(lapse[1], name="film", axis_labels=("t", "y", "x"))
    dock.inputs.layers.setValue([one, film])
    assert button.isEnabled()
    assert "several time points" not in button.toolTip()
    dock.inputs.reference.setValue(film)
    assert not button.isEnabled()
