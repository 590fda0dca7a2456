"""Widgets on a `ViewerModel`: no display, no OpenGL, no settings of the user."""

from __future__ import annotations

from collections.abc import Callable, Generator
from functools import partial
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image
from napari.utils.notifications import notification_manager

from napari_dps._qt.bridge.microscope import Microscope
from napari_dps._qt.bridge.result_layers import stack_layer
from napari_dps.core import Progress
from napari_dps.physics.simulate import SimulationSettings, simulate
from napari_dps.stages.base import Stage

collect_ignore = ["clipping.py", "docks_story.py", "story.py", "workbench_story.py"]
"""What is run by the tests of the stories, no tests."""


@pytest.fixture
def viewer() -> ViewerModel:
    return ViewerModel()


@pytest.fixture
def microscope(qapp: Any) -> Microscope:
    return Microscope()


@pytest.fixture(scope="session")
def raw_stack() -> Any:
    """Simulated raw frames, small enough for every test."""
    return simulate(SimulationSettings(height_px=96, width_px=80, photons=400)).raw


@pytest.fixture
def raw_layer(raw_stack: Any) -> Image:
    data, kwargs, _ = stack_layer(raw_stack, "raw")
    return Image(data, **kwargs)


@pytest.fixture
def plain_layer() -> Image:
    """An image with structure, in µm."""
    rng = np.random.default_rng(0)
    data = rng.poisson(50, (48, 40)).astype(np.float32)
    return Image(data, name="plain", scale=(0.065, 0.065), units="µm")


@pytest.fixture(autouse=True)
def _fresh_notifications(qapp: Any) -> None:
    notification_manager.records.clear()


@pytest.fixture
def stage_function(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Put another function in place of what the background stage does."""
    from napari_dps._qt.bridge import run_request
    from napari_dps.stages import background

    def replace_by(function: Callable[..., Generator[Progress, None, Any]]) -> None:
        stage = Stage(
            id="background",
            title="Background removal",
            takes="YX",
            gives="YX",
            parameters=background.BackgroundParameters,
            function=function,
        )
        opening = partial(run_request.open_input, stages=(stage,))
        monkeypatch.setattr(run_request, "open_input", opening)

    return replace_by
