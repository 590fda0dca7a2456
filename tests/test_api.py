"""The flat surface for scripts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

import napari_dps
from napari_dps.cli import main
from napari_dps.core.params import describe
from napari_dps.io import load
from napari_dps.stages import STAGES

OPTICS = {"na": 1.3, "emission_nm": 525, "pixel_size_nm": 65}
SIM = {"angles": 3, "phases": 3, **OPTICS}


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    simulation = napari_dps.simulate(
        seed=3, height_px=96, width_px=96, photons=300, na=1.3, offset_counts=0
    )
    return simulation.raw.data.reshape(9, 96, 96)


def test_arrays_come_back_as_arrays_of_the_command_line(
    frames: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    tifffile.imwrite("cell.tif", frames)
    words = "--angles 3 --phases 3 --na 1.3 --emission-nm 525 --pixel-size-nm 65"
    assert (
        main(
            [
                "run",
                "cell.tif",
                "--out",
                "out",
                *words.split(),
                "--stages",
                "reconstruct",
            ]
        )
        == 0
    )
    image = napari_dps.reconstruct(frames, **SIM)
    assert isinstance(image, np.ndarray)
    np.testing.assert_array_equal(image, load("out/cell.reconstruct.ome.tif").data)
    from_file = napari_dps.reconstruct("cell.tif", **SIM)
    assert from_file.pixel_size_nm == 32.5
    np.testing.assert_array_equal(from_file.data, image)


def test_stages_follow_one_another_from_raw_frames_to_dps(
    frames: np.ndarray, tmp_path: Path
) -> None:
    tifffile.imwrite(tmp_path / "cell.tif", frames)
    raw = napari_dps.load(tmp_path / "cell.tif", **SIM)
    assert (raw.axes, raw.optics.na) == ("APYX", 1.3)
    sim = napari_dps.reconstruct(napari_dps.denoise(raw))
    sharp = napari_dps.dps(napari_dps.background(sim, radius_px=30), strength=0.2)
    assert sharp.pixel_size_nm == 16.25
    assert [entry.stage for entry in sharp.history] == [
        "denoise",
        "reconstruct",
        "background",
        "dps",
    ]
    at_once = napari_dps.run(
        raw,
        ["denoise", "reconstruct", "background", "dps"],
        background={"radius_px": 30},
        dps={"strength": 0.2, "raw_frames": False},  # an image alone has none
    )
    np.testing.assert_array_equal(sharp.data, at_once.images[-1].data)


def test_axes_of_an_array_are_named_or_frames() -> None:
    data = np.random.default_rng(2).poisson(40, (2, 3, 40, 40))
    result = napari_dps.run(data, ["background"], axes="tcyx")
    assert result.images[0].axes == "TCYX"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda x: napari_dps.background(x, radius=9),
            "got radius; allowed: radius_px",
        ),
        (lambda x: napari_dps.run(x, dps=3), "'dps' of the settings: got 3"),
        (lambda x: napari_dps.run(x, ["sharpen"]), "sharpen"),
        (lambda x: napari_dps.run(x, axes="YXC"), "got shape"),
        (lambda x: napari_dps.run(x[0]), "got shape"),
        (lambda x: napari_dps.load("none.tif", camera_offset=100), "in run"),
        (lambda x: napari_dps.run("cell.tif", axes="YX"), "arrays only"),
    ],
)
def test_what_is_wrong_is_said(call, message: str) -> None:
    with pytest.raises(napari_dps.InputError, match=message.replace(".", r"\.")):
        call(np.ones((32, 32)))


def test_doubts_are_warnings(frames: np.ndarray) -> None:
    noise = np.random.default_rng(5).poisson(100, frames.shape)
    with pytest.warns(UserWarning, match="no illumination pattern was found"):
        napari_dps.reconstruct(noise, **SIM)


def test_every_stage_has_a_function_that_documents_its_parameters() -> None:
    for stage in STAGES:
        text = getattr(napari_dps, stage.id).__doc__
        assert stage.title in text
        for info in describe(stage.parameters):
            assert f"{info.name} : " in text
    assert {stage.id for stage in STAGES} < set(dir(napari_dps))


def test_other_names_are_no_attributes() -> None:
    with pytest.raises(AttributeError, match="sharpen"):
        napari_dps.sharpen  # noqa: B018
