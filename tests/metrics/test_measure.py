from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scenes import filaments
from scipy.ndimage import gaussian_filter

from napari_dps.core import HistoryEntry, ImageStack, InputError, Optics
from napari_dps.metrics import reference as likeness
from napari_dps.metrics.catalogue import METRICS, metrics_of
from napari_dps.metrics.measure import measure
from napari_dps.metrics.metric import Measured, Metric
from napari_dps.metrics.snr import noise_std
from napari_dps.metrics.subject import Subject

RNG = np.random.default_rng(0)
OPTICS = Optics(na=1.3, emission_nm=660, pixel_size_nm=65)
ALONE = {
    "minimum",
    "maximum",
    "mean",
    "noise_is_white",
    "noise_std",
    "snr_db",
    "peak_to_noise",
    "decorrelation_amplitude",
    "resolution_decorrelation_px",
    "resolution_frc_px",
    "notes",
}
PAIR = {
    "shift_y_px",
    "shift_x_px",
    "pearson",
    "psnr_db",
    "ssim",
    "nrmse",
    "snr_reference_db",
    "psnr_radial_gain_db",
    "resolution_frc_reference_px",
    "rsp",
    "rse",
    "rsf_sigma_px",
}

KEYS = [metric.key for metric in METRICS]

ODD = {
    "constant": np.full((64, 64), 3),
    "all zero": np.zeros((37, 31), np.uint8),
    "one pixel": np.ones((1, 1)),
    "one row": RNG.normal(size=(1, 50)),
    "tiny": RNG.poisson(20, (37, 31)),
    "tinier": RNG.normal(size=(5, 7)),
    "negative": -RNG.poisson(5, (64, 50)).astype(np.int16),
    "noise": RNG.normal(size=(128, 128)),
    "one hot pixel": np.pad([[1e6]], ((40, 23), (20, 43))),
    "huge values": 1e30 * RNG.normal(size=(64, 64)),
    "slope": np.add.outer(np.arange(64.0), np.arange(70.0)),
}


def _expected(*needs):
    """Return the names that a measurement has where just this much is known."""
    return {m.key for m in METRICS if set(m.needs) <= set(needs)} | {"notes"}


def check_values(values):
    json.dumps(values, allow_nan=False)
    nothing = {name for name, value in values.items() if value is None}
    assert nothing <= set(values["notes"])
    assert set(values["notes"]) <= set(values)
    assert all(values["notes"].values())


@pytest.mark.parametrize("name", ODD)
def test_odd_images_give_json_with_a_note_for_each_none(name):
    image = ImageStack(ODD[name], "YX")
    values = measure(image)
    assert set(values) == _expected() >= ALONE
    check_values(values)


@pytest.mark.slow
@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("register", [False, True])
def test_odd_pairs_give_json_with_a_note_for_each_none(name, register):
    image = ImageStack(ODD[name], "YX")
    other = ImageStack(ODD[name] + RNG.normal(size=image.shape), "YX")
    for pair in ((image, other), (other, image), (image, image)):
        values = measure(*pair, register=register)
        assert set(values) == _expected("reference") >= ALONE | PAIR
        check_values(values)


def test_lengths_are_in_nm_where_the_pixel_size_is_known():
    data = RNG.poisson(filaments((200, 256), 1, 0.2, 300))
    values = measure(ImageStack(data, "YX", pixel_size_nm=65))
    for name in ("resolution_decorrelation", "resolution_frc"):
        assert 4 < values[f"{name}_px"] < 7.5
        assert values[f"{name}_nm"] == pytest.approx(65 * values[f"{name}_px"])


def test_scores_are_those_of_the_functions():
    truth = filaments((120, 131), 2, 0.25, 300)
    noisy = RNG.poisson(truth).astype(np.float32)
    stack = ImageStack(noisy * 2 + 100, "YX")
    values = measure(stack, ImageStack(truth, "YX"))
    fitted = likeness.fit_intensity(noisy, truth)
    assert values["psnr_db"] == pytest.approx(likeness.psnr_db(fitted, truth), abs=1e-3)
    assert values["ssim"] == pytest.approx(likeness.ssim(fitted, truth), abs=1e-4)
    assert values["pearson"] == pytest.approx(likeness.pearson(noisy, truth), abs=1e-5)
    plain = measure(stack, ImageStack(truth, "YX"), fit_intensity=False)
    assert plain["psnr_db"] < values["psnr_db"] - 3


def test_optics_give_the_noise_beyond_their_cutoff():
    cutoff = OPTICS.cutoff_per_pixel
    data = RNG.poisson(filaments((200, 200), 3, cutoff, 300))
    values = measure(ImageStack(data, "YX", pixel_size_nm=65, optics=OPTICS))
    assert values["noise_std"] == noise_std(data, cutoff)


def test_processed_image_has_no_single_image_ring_correlation():
    data = RNG.poisson(filaments((200, 200), 3, 0.2, 300))
    entry = HistoryEntry(stage="background", parameters={}, version="1", seconds=0.1)
    values = measure(ImageStack(data, "YX", history=(entry,)))
    assert values["resolution_frc_px"] is None


def test_noise_is_measured_where_it_is_white_alone():
    """What is set to zero around filaments leaves no noise: 60 dB mean nothing."""
    truth = filaments((200, 200), 3, 0.2, 300)
    noisy = RNG.poisson(truth).astype(np.float32)
    clean = np.where(gaussian_filter(noisy, 2) > 30, gaussian_filter(noisy, 1.5), 0)
    names = ("noise_std", "peak_to_noise", "snr_db")
    measured = measure(ImageStack(noisy, "YX"))
    assert all(measured[name] > 0 for name in names)
    values = measure(ImageStack(clean, "YX"))
    for name in names:
        assert values[name] is None
        assert "noise shared between pixels" in values["notes"][name]
    # What needs any signal at all is there as before.
    assert values["resolution_decorrelation_px"] is not None


def test_registering_undoes_a_shift():
    truth = filaments((160, 170), 4, 0.25, 1000)
    image, reference = truth[2:150, 3:160], truth[:148, :157]
    plain = measure(ImageStack(image, "YX"), ImageStack(reference, "YX"))
    assert plain["shift_y_px"] == pytest.approx(-2, abs=0.02)
    assert plain["shift_x_px"] == pytest.approx(-3, abs=0.02)
    moved = measure(ImageStack(image, "YX"), ImageStack(reference, "YX"), register=True)
    assert moved["psnr_db"] > plain["psnr_db"] + 20


def test_finer_image_is_compared_on_the_reference_grid():
    fine = filaments((128, 160), 5, 0.2, 300)
    coarse = fine.reshape(64, 2, 80, 2).mean(axis=(1, 3))
    image = ImageStack(fine, "YX", 30, origin_nm=(-15, -15))
    values = measure(image, ImageStack(coarse, "YX", 60))
    assert values["pearson"] > 0.995
    assert abs(values["shift_y_px"]) < 0.01
    assert values["rsp"] > 0.999
    back = measure(ImageStack(coarse, "YX", 60), image)
    assert back["rsp"] is None
    assert "finer grid" in back["notes"]["rsp"]


def test_raw_frames_are_measured_with_their_stripes():
    frames = RNG.poisson(np.full((3, 3, 64, 64), 100.0))
    values = measure(ImageStack(frames, "APYX"))
    check_values(values)
    assert len(values["mcnr_per_angle"]) == 3
    assert values["mcnr"] == pytest.approx(1.91, rel=0.05)
    assert values["saturated_percent"] == 0
    assert values["mean"] == pytest.approx(100, rel=0.01)
    assert values["noise_std"] == pytest.approx(10 / 3, rel=0.1)


@pytest.mark.parametrize("fill", [0, 7])
def test_dark_raw_frames_give_notes(fill):
    values = measure(ImageStack(np.full((3, 3, 16, 16), fill), "APYX"))
    check_values(values)
    assert values["mcnr"] is None


def test_axes_of_length_one_are_dropped():
    data = RNG.poisson(filaments((64, 70), 6, 0.2, 300))
    plain = measure(ImageStack(data, "YX"))
    assert measure(ImageStack(data[None, None], "TZYX")) == plain


def test_stacks_are_refused():
    with pytest.raises(InputError, match="axes to measure"):
        measure(ImageStack(np.ones((2, 8, 8)), "TYX"))


def test_values_that_are_not_finite_are_refused():
    broken = np.ones((16, 16))
    broken[2, 3] = np.inf
    with pytest.raises(InputError, match="not finite"):
        measure(ImageStack(broken, "YX"))


def test_documentation_has_a_table_for_every_metric():
    page = Path(__file__).parents[2] / "docs" / "metrics.md"
    tables = set(re.findall(r"{metrics} (.*)", page.read_text(encoding="utf-8")))
    assert tables == {"image", "reference", "raw frames"}
    data = RNG.poisson(100, (3, 3, 64, 64))
    frames = ImageStack(data, "APYX", pixel_size_nm=65, optics=OPTICS)
    reference = ImageStack(data[0, 0], "YX", pixel_size_nm=65)
    volume = ImageStack(data.reshape(9, 64, 64), "ZYX", z_step_nm=100)
    assert [*measure(frames, reference, volume=volume)] == [*KEYS, "notes"]


def _band(ends_at, planes=24, side=64):
    """Return structure that ends at so many cycles per plane, and some noise."""
    rng = np.random.default_rng(3)
    spectrum = np.fft.rfftn(rng.normal(size=(4 * planes, side, side)))
    spectrum *= np.abs(np.fft.fftfreq(4 * planes))[:, None, None] < ends_at
    band = np.fft.irfftn(spectrum, s=(4 * planes, side, side), axes=(0, 1, 2))[:planes]
    band = gaussian_filter(band, (0, 1.5, 1.5))
    return band / band.std() + 0.1 * rng.normal(size=band.shape)


@pytest.mark.parametrize("ends_at", [0.15, 0.25, 0.35])
def test_the_resolution_in_z_is_where_structure_ends_along_z(ends_at):
    data = 100 + 10 * _band(ends_at).astype(np.float32)
    volume = ImageStack(data, "ZYX", pixel_size_nm=65, z_step_nm=125)
    plane = ImageStack(data[12], "YX", pixel_size_nm=65)
    found = measure(plane, volume=volume)["resolution_z_decorrelation_nm"]
    assert found == pytest.approx(125 / ends_at, rel=0.1)
    gained = replace(volume, data=3 * data + 7)
    again = measure(replace(plane, data=gained.data[12]), volume=gained)
    assert again["resolution_z_decorrelation_nm"] == pytest.approx(found, rel=1e-3)


def test_without_structure_along_z_there_is_no_resolution_in_z():
    flat = RNG.poisson(100, (12, 48, 48))
    plane = ImageStack(flat[6], "YX")
    noise = measure(plane, volume=ImageStack(flat, "ZYX", z_step_nm=100))
    few = measure(plane, volume=ImageStack(flat[:5], "ZYX", z_step_nm=100))
    for values in (noise, few):
        check_values(values)
        assert values["resolution_z_decorrelation_nm"] is None
    for volume in (None, ImageStack(flat, "ZYX")):
        assert "resolution_z_decorrelation_nm" not in measure(plane, volume=volume)


def test_metrics_are_described_once_and_whole():
    assert len(set(KEYS)) == len(KEYS)
    for metric in METRICS:
        assert metric.title
        assert metric.meaning
        assert metric.meaning[-1] not in ".;"
        assert metric.unit in ("", "px", "nm", "dB", "counts", "%")
    for table in ("batch", "demo", "compare"):
        shown = metrics_of(table)
        assert len({metric.heading for metric in shown}) == len(shown)


def test_metric_without_a_finite_value_says_why():
    subject = Subject(ImageStack(np.ones((8, 8)), "YX"))
    for value, note in ((None, "not defined"), (np.inf, "infinite")):
        metric = Metric("a", "A", "an example", lambda _, v=value: Measured(v))
        assert metric.measure(subject) == (None, note)
    nowhere = Metric("a", "A", "an example", lambda _: 1.0, needs=("optics",))
    assert nowhere.measure(subject) is None
