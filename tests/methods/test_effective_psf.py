"""The effective PSF: known answers, invariances, honest refusals, real images."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import scipy.fft
import scipy.ndimage
import tifffile

from napari_dps.core import InputError, NapariDpsError, Optics
from napari_dps.methods.effective_psf import estimate as module
from napari_dps.methods.effective_psf.estimate import (
    AIRY_FWHM,
    WEIGHTS,
    effective_psf,
    modulation_factor_auto,
)
from napari_dps.methods.effective_psf.features import psf_features, without_spikes
from napari_dps.physics.otf import otf_2d
from napari_dps.physics.psf import fwhm_nm
from napari_dps.physics.simulate import simulate
from napari_dps.physics.simulate_settings import SimulationSettings


def _blur(points: np.ndarray, cutoff: float) -> np.ndarray:
    otf = otf_2d(points.shape, cutoff, half_plane=True)
    return scipy.fft.irfft2(scipy.fft.rfft2(points) * otf, s=points.shape)


def _points(cutoff: float, *, photons: float = 1000, seed: int = 0) -> np.ndarray:
    """Point emitters of any brightness through an Airy PSF, with shot noise."""
    rng = np.random.default_rng(seed)
    shape = (193, 227)
    field = rng.exponential(1.0, shape) * (rng.random(shape) < 0.012)
    image = _blur(field, cutoff)
    image *= photons / np.percentile(image, 99.9)
    return rng.poisson(np.maximum(image, 0) + 10).astype(np.float32)


@pytest.mark.parametrize("cutoff", [0.16, 0.22, 0.3, 0.4])
def test_cutoff_is_found_for_points_through_an_airy_psf(cutoff: float) -> None:
    found = effective_psf(_points(cutoff), pixel_size_nm=50)
    assert found.accepted, found.reason
    assert found.cutoff_per_pixel == pytest.approx(cutoff, rel=0.1)
    assert found.fwhm_px == pytest.approx(AIRY_FWHM / cutoff, rel=0.1)
    assert found.fwhm_nm == pytest.approx(50 * AIRY_FWHM / cutoff, rel=0.1)


def test_fwhm_constant_is_that_of_the_airy_pattern() -> None:
    optics = Optics(na=1.4, emission_nm=525, pixel_size_nm=65)
    expected_nm = AIRY_FWHM * optics.cutoff_period_nm
    assert expected_nm == pytest.approx(fwhm_nm(optics), rel=1e-9)


def test_estimate_is_the_same_in_other_units_and_with_an_offset() -> None:
    image = _points(0.25)
    first, second = effective_psf(image), effective_psf(3.7 * image + 900)
    assert second.cutoff_per_pixel == pytest.approx(first.cutoff_per_pixel, rel=2e-3)
    assert second.accepted == first.accepted


def test_estimate_is_the_same_for_the_turned_image() -> None:
    image = _points(0.25)
    turned = effective_psf(np.rot90(image))
    assert turned.cutoff_per_pixel == pytest.approx(
        effective_psf(image).cutoff_per_pixel, rel=2e-2
    )


def test_input_is_not_changed_and_hot_pixels_do_not_matter() -> None:
    image = _points(0.25)
    hot = image.copy()
    rng = np.random.default_rng(1)
    hot[rng.integers(2, 190, 30), rng.integers(2, 220, 30)] = 20000
    kept = hot.copy()
    found = effective_psf(hot)
    np.testing.assert_array_equal(hot, kept)
    assert found.cutoff_per_pixel == pytest.approx(
        effective_psf(image).cutoff_per_pixel, rel=0.05
    )


def test_point_sources_at_the_nyquist_limit_are_no_hot_pixels() -> None:
    field = np.zeros((128, 128))
    field[16::32, 16::32] = 1000
    image = _blur(field, 0.5)
    np.testing.assert_array_equal(without_spikes(image), image)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("kind", ["white", "smoothed", "interpolated", "Poisson"])
def test_noise_alone_is_refused(kind: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    noise = rng.normal(100, 10, (160, 211))
    if kind == "smoothed":
        noise = _blur(noise, 0.4)
    elif kind == "interpolated":
        noise = scipy.ndimage.zoom(noise[:100, :100], 2, order=3)
    elif kind == "Poisson":
        noise = rng.poisson(0.5, noise.shape).astype(float)
    found = effective_psf(noise)
    assert not found.accepted
    assert found.reason.startswith("cannot tell: ")


def test_saturated_image_is_refused() -> None:
    image = _points(0.25)
    found = effective_psf(np.minimum(image, np.percentile(image, 97)))
    assert not found.accepted
    assert "saturated" in found.reason


def test_under_sampled_image_is_refused() -> None:
    fine = _points(0.34, photons=4000)
    found = effective_psf(fine[::2, ::2].copy())
    assert not found.accepted


def test_constant_and_small_images_are_refused_without_an_estimate() -> None:
    for image in (np.full((128, 128), 7.0), _points(0.3)[:40]):
        found = effective_psf(image, 65)
        assert not found.accepted
        assert (found.cutoff_per_pixel, found.fwhm_px, found.fwhm_nm) == (None,) * 3


def test_bad_input_is_an_error() -> None:
    with pytest.raises(InputError, match="shape"):
        effective_psf(np.zeros((3, 64, 64)))
    with pytest.raises(InputError, match="finite"):
        effective_psf(np.full((64, 64), np.nan))
    with pytest.raises(InputError, match="pixel size"):
        effective_psf(np.zeros((64, 64)), pixel_size_nm=0)


def test_features_are_finite_for_noise_free_and_odd_images() -> None:
    sparse = np.zeros((67, 131), np.float32)
    sparse[30, 60] = 1
    for image in (sparse, _blur(sparse.astype(float), 0.2), _points(0.3)[:, :101]):
        assert np.isfinite(psf_features(image)).all()


def test_stated_optics_that_fit_give_the_factor_without_a_warning() -> None:
    optics = Optics(na=1.4, emission_nm=525, pixel_size_nm=50)
    found = modulation_factor_auto(_points(optics.cutoff_per_pixel), optics)
    assert found.modulation_factor == pytest.approx(1.0, rel=0.1)
    assert found.warning == ""


@pytest.mark.slow
@pytest.mark.parametrize("structure", ["microtubules", "er", "clathrin", "actin"])
def test_widefield_mean_of_simulated_raw_frames_shows_its_optics(
    structure: str,
) -> None:
    settings = SimulationSettings(
        structure=structure, height_px=192, width_px=224, emission_nm=600, seed=3
    )
    mean = simulate(settings).raw.data.mean(axis=(0, 1))
    found = modulation_factor_auto(mean, settings.optics)
    # The camera's pixel, which the stated optics leave out, takes 3 %.
    assert found.modulation_factor == pytest.approx(0.97, rel=0.08)
    assert found.warning == ""


def test_stated_optics_that_contradict_the_image_are_warned_about() -> None:
    optics = Optics(na=1.4, emission_nm=525, pixel_size_nm=50)
    wide = modulation_factor_auto(_points(0.75 * optics.cutoff_per_pixel), optics)
    assert wide.modulation_factor == pytest.approx(0.75, rel=0.1)
    assert "wider than NA 1.4, 525 nm" in wide.warning
    narrow = modulation_factor_auto(_points(1.5 * optics.cutoff_per_pixel), optics)
    assert narrow.modulation_factor == pytest.approx(1.5, rel=0.1)
    assert "narrower" in narrow.warning


def test_weights_are_small_and_carry_their_model_card() -> None:
    card = json.loads(WEIGHTS.with_suffix(".json").read_text("utf-8"))
    assert WEIGHTS.stat().st_size < 1e6
    assert card["data"]["never_seen"] == ["nuclear_pores", "glyphs", "confocal"]


def test_damaged_weights_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / WEIGHTS.name
    data = bytearray(WEIGHTS.read_bytes())
    data[-1] ^= 1
    copy.write_bytes(data)
    copy.with_suffix(".json").write_bytes(WEIGHTS.with_suffix(".json").read_bytes())
    monkeypatch.setattr(module, "WEIGHTS", copy)
    module._weights.cache_clear()
    try:
        with pytest.raises(NapariDpsError, match="damaged"):
            effective_psf(_points(0.3))
    finally:
        module._weights.cache_clear()


def _cutoff(path: Path) -> float:
    found = effective_psf(tifffile.imread(path)).cutoff_per_pixel
    assert found is not None
    return found


def test_real_sim_images_are_finer_than_their_widefield(data_dir: Path) -> None:
    folder = data_dir / "wf_sim_er"
    for level in ("03", "05"):
        widefield = effective_psf(tifffile.imread(folder / f"wf_level_{level}.tif"))
        assert widefield.accepted, widefield.reason
        sim = 2 * _cutoff(folder / f"sim_gt_level_{level}.tif")  # on the 2× grid
        assert 1.5 < sim / widefield.cutoff_per_pixel < 2.0


def test_exposures_of_one_field_agree(data_dir: Path) -> None:
    folder = data_dir / "wf_sim_er"
    dim, bright = (_cutoff(folder / f"wf_level_{n}.tif") for n in ("01", "05"))
    assert dim == pytest.approx(bright, rel=0.1)


def test_real_mitochondria_are_blurrier_than_their_stated_optics(
    data_dir: Path,
) -> None:
    raw = tifffile.imread(data_dir / "sim9_hela_mito" / "raw.tif").astype(np.float32)
    optics = Optics(na=1.3, emission_nm=660, pixel_size_nm=65)
    found = modulation_factor_auto(raw.mean(axis=0), optics)
    # Their raw frames say so, too: the OTF is less than two thirds of the ideal one at
    # half the cut-off.
    assert found.psf.cutoff_per_pixel < optics.cutoff_per_pixel / 1.1
    assert found.modulation_factor < 0.9
    assert "wider" in found.contradiction
