"""Three-beam z-stacks through the stage and the pipeline."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from napari_dps import batch, io, pipeline
from napari_dps.core import InputError, finish
from napari_dps.core.context import Context
from napari_dps.physics.simulate import SimulationSettings, simulate
from napari_dps.pipeline import Settings, choose_steps, open_input
from napari_dps.results.picture import picture
from napari_dps.stages.reconstruct import STAGE, ReconstructParameters

OFFSET = 100.0


def made_settings(**changes):
    usual = {
        "structure": "filaments",
        "planes": 8,
        "beams": "three",
        "phases": 5,
        "modulation": 4 / 3,
        "second_modulation": 2 / 3,
        "height_px": 64,
        "width_px": 56,
        "pixel_size_nm": 80,
        "period_nm": 395,
        "haze_fraction": 0.0,
        "oversampling": 2,
    }
    return SimulationSettings(**{**usual, **changes})


@pytest.fixture(scope="module")
def made():
    return simulate(made_settings())


def run(stack, stages=("reconstruct",), **values):
    parameters = {"reconstruct": ReconstructParameters(**values)}
    steps = choose_steps(stack, stages, parameters)
    return finish(pipeline.run(stack, steps, camera_offset=OFFSET))


def likeness(image, truth):
    inside = (slice(1, -1), slice(8, -8), slice(8, -8))
    fine = np.fft.fftn(truth)
    f = [np.fft.fftfreq(n, d) for n, d in zip(truth.shape, (125, 40, 40), strict=True)]
    lateral = np.hypot(f[1][:, None], f[2]) * 96
    reach = np.hypot(lateral, np.abs(f[0])[:, None, None] * 340)
    shown = np.fft.ifftn(fine * np.cos(np.pi / 2 * np.minimum(reach, 1))).real
    return np.corrcoef(image[inside].ravel(), shown[inside].ravel())[0, 1]


def test_auto_reconstructs_a_three_beam_stack_as_a_volume(made):
    result = run(made.raw)
    image = result.images[0]
    assert image.axes == "ZYX"
    assert image.shape == (8, 128, 112)
    assert (image.pixel_size_nm, image.z_step_nm) == (40, 125)
    assert image.origin_nm == (-20, -20)
    assert all(pattern.is_three_dimensional for pattern in result.patterns)
    assert any("taken for 472.5 nm" in text for text in result.warnings)
    by_planes = run(made.raw, dimension="2d").images[0]
    truth = made.truth.data
    assert likeness(image.data, truth) > 0.9
    assert likeness(image.data, truth) > likeness(by_planes.data, truth) + 0.05


@pytest.mark.parametrize("planes", [5, 6, 7])
def test_few_planes_are_a_volume_too(planes):
    # Axial frequencies without any light among so few are no nan.
    made = simulate(made_settings(planes=planes))
    result, by_planes = run(made.raw), run(made.raw, dimension="2d")
    assert all(pattern.is_three_dimensional for pattern in result.patterns)
    truth = made.truth.data
    volume, slices = (r.images[0].data for r in (result, by_planes))
    assert likeness(volume, truth) > likeness(slices, truth) + 0.05


def test_a_known_excitation_is_not_warned_of(made):
    optics = made.raw.optics.model_copy(update={"excitation_nm": 488.0})
    result = run(replace(made.raw, optics=optics))
    assert not any("excitation" in text for text in result.warnings)
    axial_nm = result.patterns[0].orders[0].axial_period_nm
    wave = 1.518 / 488
    k = 1 / result.patterns[0].period_nm
    assert axial_nm == pytest.approx(1 / (wave - np.sqrt(wave**2 - k**2)))


def test_the_picture_of_a_volume_shows_sections(made):
    result = run(made.raw)
    figure = picture(result, "cell")
    words = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert words.count("xz") == words.count("yz") == 2
    assert "Z 5 of 8" in figure.texts[0].get_text()
    drawn = [axes.images[0].get_array() for axes in figure.axes]
    widefield = made.raw.data[4].mean(axis=(0, 1)) - OFFSET
    np.testing.assert_allclose(drawn[0], widefield, atol=1e-3)
    np.testing.assert_array_equal(drawn[4], result.images[0].data[4])
    depth_nm = [axes.get_ylim()[0] for axes in figure.axes[2:4] + figure.axes[6:8]]
    assert depth_nm == [8 * 125] * 4
    plane = replace(result, input=result.first)
    without = [replace(output, image=None) for output in result.outputs]
    figure = picture(replace(plane, outputs=tuple(without)), "cell")
    assert len(figure.axes) == 4


def test_finer_planes_carry_their_distance_to_files_and_later_stages(made, tmp_path):
    coarse, fine = (
        run(made.raw, stages=("reconstruct", "background"), refine_z=refines)
        for refines in (False, True)
    )
    for output in fine.outputs:
        assert output.shape == output.image.shape == (16, 128, 112)
        assert output.image.z_step_nm == output.first.z_step_nm == 62.5
        np.testing.assert_array_equal(output.first.data, output.image.data[8])
    for one, other in zip(coarse.images, fine.images, strict=True):
        atol = 1e-3 * one.data.max()
        np.testing.assert_allclose(other.data[::2], one.data, atol=atol)
    io.save(fine.images[0], tmp_path / "fine.ome.tif")
    assert io.load(tmp_path / "fine.ome.tif").z_step_nm == 62.5


@pytest.mark.parametrize("form", ["tiff", "zarr"])
def test_finer_planes_of_a_batch_are_those_of_a_run(made, tmp_path, form):
    io.save(made.raw, tmp_path / "cell.ome.tif")
    tables = {
        "pipeline": {"stages": ["reconstruct"]},
        "input": {"angles": 3, "phases": 5, "camera_offset": OFFSET},
        "reconstruct": {"refine_z": True},
        "output": {"format": form},
    }
    asked = Settings.from_tables(tables)
    sources = batch.find_sources([str(tmp_path / "cell.ome.tif")], tmp_path, asked)
    (row,) = finish(batch.run_batch(batch.Job(asked), sources))
    assert (row["status"], row["reason"]) == ("done", "")
    suffix = {"tiff": "ome.tif", "zarr": "ome.zarr"}[form]
    found = io.load(tmp_path / f"cell.reconstruct.{suffix}")
    expected = run(made.raw, refine_z=True).images[0]
    assert found.z_step_nm == 62.5
    np.testing.assert_array_equal(np.asarray(found.data), expected.data)


def test_later_stages_get_the_planes_of_a_volume(made):
    result = run(made.raw, stages=("reconstruct", "background"))
    volume, flat = result.images
    assert volume.shape == flat.shape == (8, 128, 112)
    alone = replace(volume, data=volume.data[3], axes="YX")
    expected = finish(pipeline.run(alone, choose_steps(alone, ["background"])))
    np.testing.assert_array_equal(flat.data[3], expected.images[0].data)


def test_a_time_lapse_of_volumes_and_a_volume_agree(made):
    lapse = made.raw.derive(np.stack([made.raw.data] * 2), axes="TZAPYX")
    result = run(lapse)
    assert result.images[0].axes == "TZYX"
    alone = run(made.raw).images[0].data
    np.testing.assert_allclose(result.images[0].data[1], alone, rtol=1e-3, atol=1e-2)


def test_patterns_that_come_with_the_stack_are_fitted_in_3d(made):
    known = replace(
        made.raw, patterns=tuple(p.only_wave_vectors() for p in made.patterns)
    )
    result = run(known)
    assert [p.status for p in result.patterns] == ["given"] * 3
    assert likeness(result.images[0].data, made.truth.data) > 0.9


def test_stripes_that_are_none_are_reconstructed_plane_by_plane(made):
    even = made.raw.data.mean(axis=(1, 2), keepdims=True)
    noisy = np.random.default_rng(0).poisson(np.broadcast_to(even, made.raw.shape))
    result = run(made.raw.derive(noisy.astype(np.float32)), refine_z=True)
    assert any("not found in 3-D" in text for text in result.warnings)
    assert any("those between are their means" in text for text in result.warnings)
    image = result.images[0]
    assert (image.shape, image.z_step_nm) == ((16, 128, 112), 62.5)
    mean = (image.data[4] + image.data[6]) / 2
    np.testing.assert_allclose(image.data[5], mean, rtol=1e-5)


@pytest.mark.parametrize(
    ("cut", "message"),
    [
        ((slice(0, 4),), "planes for a reconstruction in 3-D: got 4; allowed: 5"),
        ((slice(None), slice(None), slice(0, 4)), "phases .*: got 4; allowed: 5"),
    ],
)
def test_stacks_that_are_no_volumes_are_refused(made, cut, message):
    stack = made.raw.derive(made.raw.data[cut])
    with pytest.raises(InputError, match=message):
        run(stack, dimension="3d")


def test_few_planes_are_reconstructed_one_by_one_and_that_is_said(made):
    result = run(made.raw.derive(made.raw.data[2:6]))
    assert any("4 planes are reconstructed one" in w for w in result.warnings)
    assert result.images[0].shape == (4, 128, 112)
    assert not any(pattern.is_three_dimensional for pattern in result.patterns)


def test_four_phases_are_reconstructed_one_by_one(made):
    with_four = made.raw.derive(made.raw.data[:, :, :4])
    assert not STAGE.takes_volumes(with_four, ReconstructParameters())
    with pytest.raises(InputError, match="got 4; allowed: 5"):
        STAGE.takes_volumes(with_four, ReconstructParameters(dimension="3d"))


def test_a_missing_z_step_is_named_with_the_option_that_tells_it(made):
    stack = replace(made.raw, z_step_nm=None)
    with pytest.raises(InputError, match="needs the z step") as caught:
        run(stack, dimension="3d")
    assert caught.value.fields == ("input.z_step_nm",)
    tables = {"input": {"z_step_nm": 125, "camera_offset": OFFSET}}
    plan = open_input(stack, Settings.from_tables(tables))
    assert plan.stack.z_step_nm == 125
    assert plan.has_volumes


def test_the_excitation_is_a_setting_of_stacks_that_do_not_tell_it(made, tmp_path):
    io.save(made.raw, tmp_path / "stack.ome.tif")
    tables = {
        "input": {"angles": 3, "phases": 5},
        "optics": {"excitation_nm": 488},
        "pipeline": {"stages": ["reconstruct"]},
    }
    plan = open_input(tmp_path / "stack.ome.tif", Settings.from_tables(tables))
    assert plan.stack.optics.excitation_nm == 488
    assert plan.stack.z_step_nm == 125
    assert plan.has_volumes


def test_the_stage_alone_takes_a_volume(made):
    stack = made.raw.derive(made.raw.data.astype(np.float32) - OFFSET)
    found = finish(STAGE.run(stack, ReconstructParameters()))
    assert found.axes == "ZYX"
    assert likeness(found.data, made.truth.data) > 0.9


def test_a_stack_of_two_beams_gains_from_its_neighbours_where_that_is_demanded():
    made = simulate(
        SimulationSettings(
            structure="filaments",
            planes=12,
            height_px=64,
            width_px=64,
            pixel_size_nm=80,
            modulation=0.8,
            photons=500,
            haze_fraction=0,
            background_photons=0,
            oversampling=2,
        )
    )
    settings = made.settings
    frames = made.raw.data.astype(np.float32) - np.float32(settings.offset_counts)
    stack = made.raw.derive(frames)
    assert not STAGE.takes_volumes(stack, ReconstructParameters())
    wanted = ReconstructParameters(dimension="3d")
    assert STAGE.takes_volumes(stack, wanted)
    volume = finish(STAGE.run(stack, wanted, Context()))
    middle = stack.derive(frames[6], axes="APYX")
    plane = finish(STAGE.run(middle, ReconstructParameters(), Context()))
    truth = gaussian_filter(made.truth.data, (0.7, 1.0, 1.0))[6]

    def likeness(image):
        inside = slice(8, -8), slice(8, -8)
        return np.corrcoef(image[inside].ravel(), truth[inside].ravel())[0, 1]

    assert likeness(volume.data[6]) > likeness(plane.data) + 0.05


def test_tiles_of_a_volume_join_without_a_seam():
    made = simulate(made_settings(planes=6, height_px=576, width_px=64))
    stack = made.raw.derive(made.raw.data - np.float32(OFFSET))
    ready = finish(STAGE.prepare(stack, stack, ReconstructParameters(), Context()))
    stack = stack.derive(stack.data, patterns=ready.patterns, noise=ready.noise)
    tiled = Context()
    tiled.tile_px = 128
    whole, joined = (
        finish(STAGE.run(stack, ReconstructParameters(), context)).data
        for context in (Context(), tiled)
    )
    worst = np.abs(whole - joined).max() / np.ptp(whole)
    assert 1e-5 < worst < 4e-3


def test_patterns_found_in_a_part_of_a_large_field_are_those_of_all(monkeypatch):
    monkeypatch.setattr("napari_dps.methods.sim.volume_finding.SEARCHED_PX", 72)
    made = simulate(made_settings(planes=6, height_px=96, width_px=96))
    stack = made.raw.derive(made.raw.data - np.float32(OFFSET))
    found = finish(STAGE.prepare(stack, stack, ReconstructParameters(), Context()))
    for pattern, exact in zip(found.patterns, made.patterns, strict=True):
        wrong = np.subtract(pattern.phases_deg, exact.phases_deg)
        y, x = exact.orders[0].wavevector_per_nm
        ky, kx = pattern.orders[0].wavevector_per_nm
        # In the middle of the field.
        wrong += 360 * ((ky - y) + (kx - x)) * 47.5 * 80
        assert np.abs(np.angle(np.exp(1j * np.radians(wrong)), deg=True)).max() < 8
