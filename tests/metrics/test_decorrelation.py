from __future__ import annotations

import numpy as np
import pytest
from scenes import filaments, filtered

from napari_dps.core import InputError
from napari_dps.metrics.decorrelation import decorrelation
from napari_dps.metrics.spectrum import edge_taper

RNG = np.random.default_rng(0)


def test_curve_is_the_definition_of_the_paper():
    """d(r) of eq. 1, with masks in the Fourier plane, pixel by pixel."""
    image = filaments((81, 94), 1, 0.3, 500)
    found = decorrelation(image)
    tapered = (image - image.mean()) * edge_taper(image.shape, (10, 11))
    spectrum = np.fft.fft2(tapered)
    ky, kx = (np.fft.fftfreq(n) for n in image.shape)
    radius = np.hypot(ky[:, None], kx).astype(np.float32)
    spectrum[0, 0] = 0
    spectrum[radius >= 0.5] = 0
    phases = np.where(spectrum != 0, spectrum / np.maximum(np.abs(spectrum), 1e-30), 0)
    for i in (20, 130, 255, 499):
        inside = np.where(radius < found.radii[i], phases, 0)
        correlation = np.sum(spectrum * np.conj(inside)).real
        norm = np.sum(np.abs(spectrum) ** 2) * np.sum(np.abs(inside) ** 2)
        assert found.curves[0, i] == pytest.approx(
            correlation / np.sqrt(norm), abs=2e-4
        )


@pytest.mark.parametrize("cutoff", [0.1, 0.2, 0.35])
@pytest.mark.parametrize("shape", [(256, 256), (201, 330)])
def test_sharp_band_limit_is_recovered(cutoff, shape):
    image = filtered(RNG.normal(size=shape), lambda k: k < cutoff)
    noisy = image + 0.1 * image.std() * RNG.normal(size=shape)
    assert decorrelation(noisy).cutoff_per_pixel == pytest.approx(cutoff, rel=0.03)


@pytest.mark.parametrize("photons", [30, 300, 5000])
@pytest.mark.parametrize("cutoff", [0.15, 0.25, 0.4])
def test_cutoff_of_an_aperture_is_approached_from_below(cutoff, photons):
    image = RNG.poisson(filaments((256, 300), 5, cutoff, photons))
    found = decorrelation(image)
    # the OTF falls to nothing at its cut-off: structure is lost in noise before it
    assert 0.72 < found.cutoff_per_pixel / cutoff < 1.02
    assert found.geometric_mean_cutoff_per_pixel <= found.cutoff_per_pixel
    assert found.resolution_nm(40) == pytest.approx(40 / found.cutoff_per_pixel)


def test_more_light_never_makes_it_much_coarser():
    found = [
        decorrelation(RNG.poisson(filaments((256, 256), 6, 0.3, photons)))
        for photons in (5, 50, 500)
    ]
    cutoffs = [f.cutoff_per_pixel for f in found]
    assert cutoffs[0] < cutoffs[1] < 1.05 * cutoffs[2]
    assert found[0].amplitude < found[1].amplitude < found[2].amplitude


@pytest.mark.parametrize("shape", [(64, 64), (120, 97), (256, 256)])
def test_noise_alone_has_no_resolution(shape):
    found = [decorrelation(RNG.normal(size=shape)).resolution_px for _ in range(20)]
    assert sum(px is not None for px in found) <= 1


def test_scale_and_offset_do_not_matter():
    image = RNG.poisson(filaments((128, 128), 7, 0.3, 300)).astype(float)
    first, second = decorrelation(image), decorrelation(-3 * image + 500)
    assert first.cutoff_per_pixel == pytest.approx(second.cutoff_per_pixel)


# resolution in pixels by NanoPyx 2.1.5, DecorrAnalysis(), of the same files
@pytest.mark.parametrize(
    ("name", "peer_px"),
    [
        ("wf_sim_er/wf_level_03.tif", 4.17),
        ("wf_sim_er/wf_level_05.tif", 4.45),
        ("wf_sim_er/sim_gt_level_03.tif", 4.89),
        ("wf_sim_er/sim_gt_level_05.tif", 5.06),
        ("confocal_microtubules/cell5.tif", 3.05),
        ("sim15_microtubules_pair/he_sim.tif", 5.76),
    ],
)
def test_real_images_agree_with_the_peer(data_dir, name, peer_px):
    import tifffile

    found = decorrelation(tifffile.imread(data_dir / name))
    assert found.resolution_px == pytest.approx(peer_px, rel=0.05)


def test_sim_is_finer_than_widefield_by_less_than_two(data_dir):
    import tifffile

    folder = data_dir / "wf_sim_er"
    wide = decorrelation(tifffile.imread(folder / "wf_level_05.tif"))
    sim = decorrelation(tifffile.imread(folder / "sim_gt_level_05.tif"))
    gain = wide.resolution_px / (sim.resolution_px / 2)  # the SIM grid is 2× finer
    assert 1.5 < gain < 2


@pytest.mark.parametrize("image", [np.full((64, 64), 7), np.zeros((64, 64), np.uint8)])
def test_constant_image_is_refused(image):
    with pytest.raises(InputError, match="constant"):
        decorrelation(image)


def test_too_small_image_is_refused():
    with pytest.raises(InputError, match="16×16"):
        decorrelation(RNG.normal(size=(15, 40)))
