"""Opening: which frames are read, whose they are, and what the camera did to them."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_dps import io
from napari_dps.core import CameraNoise, ImageStack, InputError, Optics, finish
from napari_dps.physics.simulate import simulate
from napari_dps.physics.simulate_settings import SimulationSettings
from napari_dps.pipeline import Settings, open_input
from napari_dps.stages.background import STAGE as BACKGROUND
from napari_dps.stages.background import BackgroundParameters

OPTICS = {"na": 1.4, "emission_nm": 525.0, "pixel_size_nm": 65.0}


@pytest.fixture(scope="module")
def raw() -> np.ndarray:
    """Return 3 × 3 frames with plain stripes, (9, Y, X)."""
    settings = SimulationSettings(height_px=128, width_px=115, photons=2000, seed=3)
    return simulate(settings).raw.data.reshape(9, 128, 115)


def _asked(stages: str = "", **asked) -> Settings:
    tables = {"input": asked, "optics": OPTICS}
    return Settings.from_tables(
        {**tables, "pipeline": {"stages": stages.split(",")}} if stages else tables
    )


def _write(path: Path, frames: np.ndarray) -> Path:
    tifffile.imwrite(path, frames, photometric="minisblack")
    return path


def test_nine_frames_with_stripes_are_asked_about(tmp_path, raw):
    path = _write(tmp_path / "raw.tif", raw)
    plan = open_input(path, _asked("background"))
    assert plan.stack.axes == "TYX"
    assert any(
        "add input.angles 3 input.phases 3;" in warning for warning in plan.warnings
    )
    with pytest.raises(InputError, match="9 frames with stripes: raw SIM"):
        open_input(path, _asked("background"), refuse_wrong_order=True)
    # An order without angles and phases says that they are images.
    images = open_input(
        path, _asked("background", order="tyx"), refuse_wrong_order=True
    )
    assert images.warnings == ()


def test_question_names_the_order_of_the_frames(tmp_path, raw):
    swapped = raw.reshape(3, 3, 128, 115).swapaxes(0, 1).reshape(9, 128, 115)
    plan = open_input(_write(tmp_path / "raw.tif", swapped), _asked("background"))
    assert any(
        "input.phases 3 input.order payx;" in warning for warning in plan.warnings
    )


def test_frames_without_stripes_are_images(tmp_path):
    frames = np.random.default_rng(0).poisson(50, (9, 64, 64)).astype(np.uint16)
    path = _write(tmp_path / "noise.tif", frames)
    plan = open_input(path, _asked("background"), refuse_wrong_order=True)
    # Nine frames that nothing names are asked about, but no more than that.
    assert [w.split(";")[0] for w in plan.warnings] == [
        "9 frames are taken for 9 images"
    ]
    named = io.RawImage(frames, "TYX", io.Metadata())
    assert open_input(named, _asked("background")).warnings == ()


@pytest.mark.parametrize(
    ("counts", "phases"),
    [((2, 3, 3), 3), ((3, 3, 5), 5), ((4, 1, 7), 7), ((2, 1, 5), 5)],
)
def test_sets_of_frames_are_recognised(counts, phases):
    angles = counts[1]
    rng = np.random.default_rng(1)
    y, x = np.mgrid[:96, :96]
    blobs = (rng.random((96, 96)) > 0.98) * 900.0
    scene = np.abs(np.fft.ifft2(np.fft.fft2(blobs) * np.exp(-3e3 * _square(96))))
    frames = []
    for index in np.ndindex(counts):
        phi = 2 * np.pi * index[2] / phases
        k = 0.2 * np.array([np.cos(index[1] * 1.05), np.sin(index[1] * 1.05)])
        wave = np.cos(2 * np.pi * (k[0] * x + k[1] * y) + phi)
        frames.append(rng.poisson(40 * scene * (1 + 0.9 * wave) + 5))
    found = io.suspect_raw(
        io.RawImage(np.array(frames, np.uint16), "QYX", io.Metadata())
    )
    assert found is not None
    assert found.is_plain_to_see
    assert f"input.angles {angles} input.phases {phases}" in found.message


def _square(edge: int) -> np.ndarray:
    frequency = np.fft.fftfreq(edge)
    return (frequency[:, None] ** 2 + frequency**2) / 30


@pytest.mark.parametrize("lazy", [False, True])
def test_frames_that_are_picked_are_read_alone(tmp_path, raw, lazy):
    ten = np.concatenate([raw, raw.mean(0, keepdims=True).astype(raw.dtype)])
    path = _write(tmp_path / "ten.tif", ten)
    with pytest.raises(InputError, match="say which to read, as 0-8"):
        open_input(path, _asked(angles=3, phases=3))
    plan = open_input(path, _asked(angles=3, phases=3, frames="0-8"), lazy=lazy)
    np.testing.assert_array_equal(np.asarray(plan.stack.data).reshape(9, 128, 115), raw)
    twice = _write(tmp_path / "twice.tif", np.concatenate([ten, ten]))
    plan = open_input(twice, _asked(angles=3, phases=3, frames="0-8/10"), lazy=lazy)
    assert plan.stack.axes == "TAPYX"
    assert plan.stack.shape == (2, 3, 3, 128, 115)


@pytest.mark.parametrize("frames", ["8-0", "a", "0-8/5", "-1", "1,1", "0-9"])
def test_frames_that_are_not_there_are_refused(tmp_path, raw, frames):
    path = _write(tmp_path / "raw.tif", raw)
    with pytest.raises(InputError) as caught:
        open_input(path, _asked(angles=3, phases=3, frames=frames))
    assert caught.value.fields == ("input.frames",)


def test_channel_that_is_picked_keeps_its_optics(tmp_path):
    optics = tuple(Optics(**{**OPTICS, "emission_nm": nm}) for nm in (525.0, 610.0))
    data = np.random.default_rng(0).poisson(90, (2, 3, 3, 40, 48)).astype(np.uint16)
    two = ImageStack(
        data, "CAPYX", pixel_size_nm=65, optics=optics[0],
        channel_optics=optics, channel_names=("green", "red"),
    )  # fmt: skip
    path = io.save(two, tmp_path / "two.ome.tif")
    plan = open_input(path, Settings.from_tables({"input": {"channel": 1}}))
    assert plan.stack.axes == "APYX"
    assert plan.stack.optics.emission_nm == 610
    assert plan.stack.channel_names == ("red",)
    np.testing.assert_array_equal(plan.stack.data, data[1])
    with pytest.raises(InputError, match=r"got 2; allowed: 0 to 1"):
        open_input(path, Settings.from_tables({"input": {"channel": 2}}))


@pytest.mark.parametrize("lazy", [False, True])
def test_files_of_single_frames_are_joined_in_natural_order(tmp_path, raw, lazy):
    paths = [
        _write(tmp_path / f"cell_{n}.tif", frame) for n, frame in enumerate(raw, 5)
    ]
    ordered = io.in_natural_order(sorted(paths))  # as text, 10 comes before 5
    assert ordered == paths
    plan = open_input(ordered, _asked(angles=3, phases=3), lazy=lazy)
    np.testing.assert_array_equal(np.asarray(plan.stack.data).reshape(9, 128, 115), raw)
    _write(tmp_path / "cell_14.tif", raw[0, 1:])
    with pytest.raises(InputError, match=r"cell_14.tif.*got 127 × 115"):
        open_input([*ordered, tmp_path / "cell_14.tif"], _asked(angles=3, phases=3))


@pytest.mark.parametrize(("angles", "phases"), [(3, 3), (3, 5)])
def test_montage_is_suggested_where_the_counts_fit_a_plane(tmp_path, angles, phases):
    plane = np.ones((30, 60), np.uint16)
    path = _write(tmp_path / "tiles.tif", plane)
    with pytest.raises(InputError, match=f"montage: tiles of 10 × {60 // phases}"):
        open_input(path, _asked(angles=angles, phases=phases))
    plan = open_input(path, _asked(angles=angles, phases=phases, order="montage"))
    assert plan.stack.shape == (angles, phases, 10, 60 // phases)


def test_instrument_gives_counts_and_order(tmp_path, raw):
    rows = [
        np.concatenate(list(angle), axis=1) for angle in raw.reshape(3, 3, 128, 115)
    ]
    path = _write(tmp_path / "tiles.tif", np.concatenate(rows, axis=0))
    plan = open_input(path, _asked(instrument="n-sim"))
    np.testing.assert_array_equal(plan.stack.data, raw.reshape(3, 3, 128, 115))
    # What is said goes first.
    plan = open_input(path, _asked(instrument="n-sim", order="montage-pa"))
    np.testing.assert_array_equal(
        plan.stack.data, raw.reshape(3, 3, 128, 115).swapaxes(0, 1)
    )


def test_omx_frames_lie_phase_then_z_then_angle():
    numbers = np.arange(60, dtype=np.uint16)  # angle, z, phase, the last one fastest
    data = np.broadcast_to(numbers[:, None, None], (60, 40, 40))
    raw = io.RawImage(data, "QYX", io.Metadata())
    plan = open_input(raw, _asked(instrument="omx"), check_order=False)
    assert plan.stack.axes == "ZAPYX"
    np.testing.assert_array_equal(
        plan.stack.data[..., 0, 0], numbers.reshape(3, 4, 5).swapaxes(0, 1)
    )


def test_instrument_leaves_open_what_is_not_fixed(raw):
    image = io.RawImage(raw, "QYX", io.Metadata())
    with pytest.raises(InputError, match="Zeiss Elyra") as caught:
        open_input(image, _asked(instrument="elyra"))
    assert caught.value.fields == ("input.angles",)
    named = io.RawImage(raw.reshape(3, 3, 128, 115), "APYX", io.Metadata())
    plan = open_input(named, _asked(instrument="elyra"))
    np.testing.assert_array_equal(plan.stack.data, named.data)


def test_choice_of_instruments_is_their_table():
    from typing import get_args

    from napari_dps.pipeline import InputSettings

    choices = get_args(InputSettings.model_fields["instrument"].annotation)
    assert choices == ("auto", *(row.key for row in io.INSTRUMENTS))


def test_camera_with_unequal_pixels_is_corrected(tmp_path, raw):
    rng = np.random.default_rng(2)
    offset = rng.normal(100, 8, (128, 115)).astype(np.float32)
    gain = rng.uniform(1.5, 2.5, (128, 115)).astype(np.float32)
    light = raw.astype(np.float64) - 90
    _write(tmp_path / "offset.tif", offset)
    _write(tmp_path / "gain.tif", gain)
    path = _write(tmp_path / "raw.tif", (light * gain + offset).astype(np.float32))
    asked = {"angles": 3, "phases": 3, "offset_map": str(tmp_path / "offset.tif")}
    plan = open_input(path, _asked(gain_map=str(tmp_path / "gain.tif"), **asked))
    np.testing.assert_allclose(
        plan.first.data.reshape(9, 128, 115), light * gain.mean(), rtol=1e-3, atol=0.1
    )
    (entry,) = plan.first.history
    assert entry.stage == "camera offset"
    assert entry.parameters["offset_map"] is True
    assert entry.parameters["camera_offset"] == pytest.approx(offset.mean())


def test_uneven_light_is_corrected_by_a_flat_field(tmp_path, raw):
    row, column = np.mgrid[:128, :115]
    flat = (2 - np.hypot(row - 64, column - 57) / 90).astype(np.float32)
    light = raw.astype(np.float64) - 90
    frames = (light * flat / flat.mean() + 100).astype(np.float32)
    _write(tmp_path / "flat.tif", 500 * flat)
    path = _write(tmp_path / "raw.tif", frames)
    asked = {"angles": 3, "phases": 3, "camera_offset": 100.0}
    plan = open_input(path, _asked(flat_field=str(tmp_path / "flat.tif"), **asked))
    np.testing.assert_allclose(
        plan.first.data.reshape(9, 128, 115), light, rtol=1e-3, atol=0.1
    )
    assert plan.first.history[0].parameters["flat_field"] is True


def test_maps_that_do_not_fit_are_refused(tmp_path, raw):
    path = _write(tmp_path / "raw.tif", raw)
    for name, plane, words in (
        ("offset_map", np.zeros((5, 6), np.float32), "5 × 6"),
        ("gain_map", np.zeros((128, 115), np.float32), "above 0"),
        ("gain_map", np.zeros((2, 9, 9), np.float32), "one plane"),
        ("flat_field", np.ones((5, 6), np.float32), "5 × 6"),
        ("flat_field", np.zeros((128, 115), np.float32), "above 0"),
    ):
        file = _write(tmp_path / "map.tif", plane)
        with pytest.raises(InputError, match=words) as caught:
            open_input(path, _asked(angles=3, phases=3, **{name: str(file)}))
        assert caught.value.fields == (f"input.{name}",)


def test_real_maps_of_a_camera_fit_their_frames(data_dir):
    folder = data_dir / "sim9_hela_mito"
    maps = {f"{n}_map": str(folder / f"camera_{n}.tif") for n in ("offset", "gain")}
    plan = open_input(folder / "raw.tif", _asked(angles=3, phases=3, **maps))
    raw, offset, gain = (
        io.load(folder / f"{name}.tif").data.astype(np.float64)
        for name in ("raw", "camera_offset", "camera_gain")
    )
    expected = (raw - offset) / gain * gain.mean()
    np.testing.assert_allclose(
        plan.first.data.reshape(raw.shape), expected, rtol=1e-4, atol=1e-2
    )


def test_offset_above_the_pixels_is_refused_with_a_likely_one(tmp_path, raw):
    path = _write(tmp_path / "raw.tif", raw)
    darkest = np.percentile(raw, 1)
    with pytest.raises(InputError, match=f"about {darkest:.4g}") as caught:
        open_input(path, _asked(angles=3, phases=3, camera_offset=5000))
    assert caught.value.fields == ("input.camera_offset",)
    assert open_input(path, _asked(angles=3, phases=3, camera_offset=100)).steps


def test_dark_places_below_the_offset_are_told(tmp_path, raw):
    path = _write(tmp_path / "raw.tif", raw)
    told = {
        offset: [
            w
            for w in open_input(
                path, _asked(angles=3, phases=3, camera_offset=offset)
            ).warnings
            if "less than the camera's offset" in w
        ]
        for offset in (100, 102, 600)
    }
    assert not told[100]
    assert not told[102]
    counts = re.search(r"places hold ([\d.]+) counts less", told[600][0])
    darkest = np.percentile(raw.mean(axis=0), 1)
    assert float(counts[1]) == pytest.approx(600 - darkest, rel=0.1)


def test_a_border_that_was_filled_is_no_reason_to_doubt_the_offset(tmp_path, raw):
    border = np.pad(raw, ((0, 0), (3, 0), (0, 5)))
    path = _write(tmp_path / "raw.tif", border)
    plan = open_input(path, _asked(angles=3, phases=3, camera_offset=100))
    assert not [text for text in plan.warnings if "offset" in text]


@pytest.mark.parametrize(
    ("gain", "read_noise", "is_told"),
    [(2.0, 1.6, False), (20.0, 1.6, True), (0.2, 1.6, True), (2.0, 60.0, True)],
)
def test_camera_noise_that_the_frames_contradict_is_told(
    tmp_path, raw, gain, read_noise, is_told
):
    path = _write(tmp_path / "raw.tif", raw)
    camera = {"camera_gain": gain, "read_noise": read_noise}
    asked = _asked(angles=3, phases=3, camera_offset=100, **camera)
    told = [w for w in open_input(path, asked).warnings if "frames hold noise" in w]
    assert bool(told) is is_told


def test_offset_that_nobody_gave_is_told_as_the_noise_measures_it(tmp_path):
    dim = simulate(SimulationSettings(height_px=96, width_px=110, photons=60)).raw.data
    path = _write(tmp_path / "raw.tif", dim.reshape(9, 96, 110))
    (warning,) = open_input(path, _asked(angles=3, phases=3)).warnings
    told = re.search(r"every pixel holds about ([\d.]+) counts without", warning)
    assert float(told[1]) == pytest.approx(100, rel=0.15)
    asked = _asked(angles=3, phases=3, camera_offset=100)
    assert open_input(path, asked).warnings == ()


def test_haze_is_not_taken_for_an_offset(tmp_path):
    hazy = simulate(
        SimulationSettings(
            height_px=96, width_px=96, haze_fraction=0.5, background_photons=300
        )
    )
    frames = hazy.raw.data.reshape(9, 96, 96).astype(np.float32)
    path = _write(tmp_path / "raw.tif", frames - hazy.settings.offset_counts)
    assert open_input(path, _asked(angles=3, phases=3)).warnings == ()


@pytest.mark.parametrize("level", [255, 700, 3000])
def test_saturated_frames_are_told_with_their_share(tmp_path, raw, level):
    dark = np.minimum(raw, level)
    share = 100 * np.mean(dark == level)
    plan = open_input(_write(tmp_path / "raw.tif", dark), _asked(angles=3, phases=3))
    told = [w for w in plan.warnings if "saturated" in w]
    if share:
        assert told == [
            f"{share:.2g} % of the pixels are saturated, at {level} counts: there the "
            "image is too dark"
        ]
    else:
        assert told == []


@pytest.mark.parametrize("lazy", [False, True])
def test_image_of_a_file_with_several_is_chosen(tmp_path, raw, lazy):
    path = tmp_path / "two.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as file:
        for frames, nm in ((raw[:, :60], 0.08), (raw, 0.065)):
            described = {"axes": "ZYX", "PhysicalSizeX": nm, "PhysicalSizeY": nm}
            file.write(frames, photometric="minisblack", metadata=described)
    second = io.read(path, lazy=lazy, series=1)
    np.testing.assert_array_equal(np.asarray(second.data), raw)
    assert second.metadata.pixel_size_nm == pytest.approx(65)
    assert second.metadata.warnings == ()
    first = io.read(path, lazy=lazy)
    assert first.data.shape == (9, 60, 115)
    assert ["2 images" in warning for warning in first.metadata.warnings] == [True]
    with pytest.raises(InputError, match="got 2; allowed: 0 to 1"):
        io.read(path, lazy=lazy, series=2)


def test_image_of_a_file_with_one_is_the_first(tmp_path, raw):
    path = _write(tmp_path / "raw.tif", raw)
    assert open_input(path, _asked(angles=3, phases=3, series=0)).steps
    with pytest.raises(InputError, match="got 1; allowed: 0: the file holds one image"):
        open_input(path, _asked(angles=3, phases=3, series=1))


def test_noise_of_the_camera_that_is_stated_is_carried_until_a_stage_has_worked(
    tmp_path, raw
):
    variance = np.full((128, 115), 9.0, np.float32)
    _write(tmp_path / "variance.tif", variance)
    path = _write(tmp_path / "raw.tif", raw)
    asked = {"angles": 3, "phases": 3, "camera_offset": 90.0, "camera_gain": 2.0}
    plan = open_input(path, _asked(**asked, read_noise=1.5))
    assert plan.stack.camera == CameraNoise(gain=2.0, read_noise_e=1.5)
    assert plan.stack.history[-1].parameters["camera_gain"] == 2.0
    plan = open_input(
        path, _asked(**asked, variance_map=str(tmp_path / "variance.tif"))
    )
    assert plan.stack.camera == CameraNoise(gain=2.0, read_noise_e=1.5)
    plane = plan.first.derive(plan.first.data[0, 0], axes="YX")
    assert plane.camera is not None
    result = finish(BACKGROUND.run(plane, BackgroundParameters()))
    assert result.camera is None


def test_pixels_that_the_read_out_drowns_are_replaced(tmp_path, raw):
    variance = np.full((128, 115), 4.0, np.float32)
    variance[60, 50] = 1e9
    frames = raw.astype(np.float32)
    frames[..., 60, 50] = 5000.0
    _write(tmp_path / "variance.tif", variance)
    path = _write(tmp_path / "raw.tif", frames)
    asked = {"angles": 3, "phases": 3, "camera_gain": 2.0}
    plan = open_input(
        path, _asked(**asked, variance_map=str(tmp_path / "variance.tif"))
    )
    plain = open_input(path, _asked(angles=3, phases=3)).first.data
    changed = plan.first.data != plain
    assert changed[..., 60, 50].all()
    assert changed.sum() == 9
    around = plain[..., 59:62, 49:52]
    assert (plan.first.data[..., 60, 50] <= np.sort(around, axis=None)[-10]).all()


@pytest.mark.parametrize("name", ["read_noise", "variance_map"])
def test_noise_in_electrons_needs_the_gain(tmp_path, raw, name):
    _write(tmp_path / "variance.tif", np.ones((128, 115), np.float32))
    value = 1.5 if name == "read_noise" else str(tmp_path / "variance.tif")
    with pytest.raises(InputError, match="gain") as caught:
        open_input(
            _write(tmp_path / "raw.tif", raw),
            _asked(angles=3, phases=3, **{name: value}),
        )
    assert "input.camera_gain" in caught.value.fields
