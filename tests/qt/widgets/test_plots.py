"""Plots are as high as what they show needs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from qtpy.QtGui import QFont, QFontMetrics

from napari_dps._qt.bridge.curves import Curve
from napari_dps._qt.widgets.plots import Plot

AROUND_PX, LINE_PX = 44, 15
"""Above and below the field of a plot; a line of its legend."""


@pytest.mark.parametrize("count", [1, 8])
@pytest.mark.parametrize("label", ["SSIM", "Resolution of the reference (nm)"])
def test_a_long_legend_leaves_room_for_the_field_and_its_label(
    qtbot: Any, count: int, label: str
) -> None:
    plot = Plot("time", "")
    qtbot.addWidget(plot)
    line = np.arange(3.0)
    curves = [Curve(line, line, f"layer {n}", "#ffffff") for n in range(count)]
    plot.show_curves(curves)
    plot.set_labels("time", label)
    field = plot.minimumHeight() - AROUND_PX - LINE_PX * count
    font = QFont(plot.font())
    font.setPixelSize(11)
    assert field >= max(QFontMetrics(font).horizontalAdvance(label), 80)
    plot.show_curves([], message="nothing")
    assert plot.minimumHeight() < 80
