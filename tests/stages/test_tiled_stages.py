"""Stages in tiles give what they give of the whole plane, whatever the size."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

from napari_dps.core import ImageStack, InputError, Progress, finish, tiling
from napari_dps.core.context import Context
from napari_dps.methods.dps import joint
from napari_dps.nets.architectures.artifact_remover import ArtifactRemover
from napari_dps.physics.simulate import simulate
from napari_dps.physics.simulate_settings import SimulationSettings
from napari_dps.stages import (
    artifacts,
    denoise,
    dps,
    reconstruct,
)

WHOLE = 4096
RAW_SHAPES = [(150, 181), (97, 260)]
SHAPES = [RAW_SHAPES[0], pytest.param(RAW_SHAPES[1], marks=pytest.mark.slow)]
TILES_PX = [
    pytest.param(64, marks=pytest.mark.slow),
    pytest.param(77, marks=pytest.mark.slow),
    130,
]
CASES = {
    "denoise": (denoise, {}),
    "reconstruct-network": (reconstruct, {"method": "network"}),
    "artifacts": (artifacts, {}),
    "dps": (dps, {}),
}


@cache
def raw(shape: tuple[int, int]) -> ImageStack:
    settings = SimulationSettings(
        height_px=shape[0], width_px=shape[1], seed=4, photons=200
    )
    made = simulate(settings)
    counts = made.raw.data.astype(np.float32) - settings.offset_counts
    return made.raw.derive(counts, patterns=made.patterns)


@cache
def reconstructed(shape: tuple[int, int]) -> ImageStack:
    half = (shape[0] // 2, shape[1] // 2)
    return run(reconstruct, raw(half), Context("cpu", tile_px=WHOLE))


def run(stage, image: ImageStack, context: Context, **parameters) -> ImageStack:
    chosen = stage.STAGE.parameters(**parameters)
    return finish(stage.STAGE.run(image, chosen, context))


@cache
def whole(case: str, shape: tuple[int, int]) -> np.ndarray:
    return tiled(case, shape, Context("cpu", tile_px=WHOLE))


def tiled(case: str, shape: tuple[int, int], context: Context) -> np.ndarray:
    stage, parameters = CASES[case]
    image = raw(shape) if "A" in stage.STAGE.takes else reconstructed(shape)
    return run(stage, image, context, **parameters).data


def difference(result: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(result - expected).max() / np.ptp(expected))


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("tile_px", TILES_PX)
def test_tiles_of_any_size_give_the_whole_result(case, shape, tile_px):
    result = tiled(case, shape, Context("cpu", tile_px=tile_px))
    # Layers that turn with the image round eight times as often.
    most = 3e-5 if case == "dps" else 1e-5
    assert difference(result, whole(case, shape)) < most


@pytest.mark.parametrize("shape", [(310, 181), (97, 260)], ids=str)
@pytest.mark.parametrize("tile_px", TILES_PX)
@pytest.mark.parametrize(
    "parameters",
    [{}, {"wiener_parameter": 0.003, "apodisation": "none"}, {"notch_strength": 0.9}],
    ids=["default", "sharp", "notch"],
)
def test_wiener_in_tiles_gives_the_whole_result(shape, tile_px, parameters):
    frames = raw(shape)
    expected = run(reconstruct, frames, Context("cpu", tile_px=WHOLE), **parameters)
    result = run(reconstruct, frames, Context("cpu", tile_px=tile_px), **parameters)
    inner = (slice(48, -48), slice(48, -48))
    assert difference(result.data[inner], expected.data[inner]) < 5e-4
    assert difference(result.data, expected.data) < 5e-3
    assert result.data.mean() == pytest.approx(expected.data.mean(), rel=1e-6)


def test_wiener_in_tiles_of_uneven_light_keeps_the_total():
    frames = raw((97, 260))
    bright = np.linspace(0.2, 3, 260, dtype=np.float32)
    frames = frames.derive(frames.data * bright)
    result = run(reconstruct, frames, Context("cpu", tile_px=64))
    assert result.data.mean() == pytest.approx(frames.data.mean(), rel=1e-4)


def test_wiener_keeps_one_solver_for_all_tiles_and_planes():
    context = Context("cpu", tile_px=64)
    run(reconstruct, raw((97, 260)), context)
    key, solver = context.cache["wiener"]
    assert key[0] == (97, 192)
    run(reconstruct, raw((97, 260)), context)
    assert context.cache["wiener"][1] is solver


def test_stage_goes_on_in_smaller_tiles_and_says_so(monkeypatch):
    shape = RAW_SHAPES[0]
    expected = whole("artifacts", shape)
    original, calls = ArtifactRemover.forward, []

    def forward(self, image, noise):
        calls.append(image.numel())
        if len(calls) == 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return original(self, image, noise)

    monkeypatch.setattr(ArtifactRemover, "forward", forward)
    context = Context("cpu")
    for _ in range(2):
        assert difference(tiled("artifacts", shape, context), expected) < 1e-5
    assert context.warnings == [
        "out of memory: tiles of 64 px are used for the artefact remover"
    ]
    tiles, failed = divmod(len(calls), 2)
    assert failed == 1
    assert tiles > 1


def test_wiener_goes_on_in_tiles_when_its_tables_do_not_fit(monkeypatch):
    from napari_dps.physics.sim import wiener

    frames, original = raw((310, 181)), wiener.wiener_weights
    expected = run(reconstruct, frames, Context("cpu", tile_px=WHOLE)).data

    def weights(bands, *others, **options):
        if bands[0].size[0] > 300:
            raise MemoryError
        return original(bands, *others, **options)

    monkeypatch.setattr(wiener, "wiener_weights", weights)
    context = Context("cpu")
    result = run(reconstruct, frames, context).data
    assert context.warnings == [
        "out of memory: tiles of 144 px are used for the Wiener filter"
    ]
    assert difference(result[48:-48, 48:-48], expected[48:-48, 48:-48]) < 1e-3


@pytest.mark.parametrize(
    ("case", "parameters"),
    [
        ("denoise", {}),
        ("reconstruct-network", {"method": "network"}),
        ("dps", {}),
        ("dps", {"method": "rl"}),
        ("dps", {"method": "sparse"}),
    ],
)
def test_plane_that_cannot_fit_is_refused_before_it_is_begun(
    monkeypatch, case, parameters
):
    for module in (tiling, joint):
        monkeypatch.setattr(module, "available_bytes", lambda device: 1e6)
    stage = CASES[case][0]
    shape = RAW_SHAPES[0]
    image = raw(shape) if "A" in stage.STAGE.takes else reconstructed(shape)
    with pytest.raises(InputError, match=r"got 0\.0 GB free; .* crop the image"):
        run(stage, image, Context("cpu"), **parameters)


def test_patterns_of_frames_that_cannot_fit_are_not_looked_for(monkeypatch):
    monkeypatch.setattr(tiling, "available_bytes", lambda device: 1e6)
    image = replace(raw(RAW_SHAPES[0]), patterns=())
    with pytest.raises(InputError, match="finding the patterns of a plane of 150"):
        run(reconstruct, image, Context("cpu"))


def test_memory_that_runs_out_elsewhere_is_told_in_the_users_words():
    def function(image, parameters, context):
        yield Progress(0, 1)
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried")

    stage = replace(dps.STAGE, function=function)
    image = ImageStack(np.ones((30, 41), np.float32), "YX")
    with pytest.raises(InputError, match="for 'dps' of a plane of 30 × 41 px: crop"):
        finish(stage.run(image, dps.DpsParameters(), Context("cpu")))
