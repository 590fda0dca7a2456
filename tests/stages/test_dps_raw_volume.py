"""``dps`` on 3-D reconstructions whose raw frames are at hand."""

from dataclasses import replace

import numpy as np
import pytest

from napari_dps import pipeline
from napari_dps.core import ImageStack, InputError, finish
from napari_dps.core.context import Context
from napari_dps.methods.dps import raw_volume
from napari_dps.methods.dps.recording import recording_behind
from napari_dps.physics.simulate_settings import SimulationSettings
from napari_dps.physics.simulate_volume import simulate_volume
from napari_dps.physics.simulated import Simulation
from napari_dps.stages.dps import STAGE, DpsParameters
from napari_dps.stages.reconstruct import STAGE as RECONSTRUCT
from napari_dps.stages.reconstruct import ReconstructParameters

PLANES, SIDE = 9, 64
SETTINGS = SimulationSettings(
    structure="filaments",
    planes=PLANES,
    height_px=SIDE,
    width_px=SIDE,
    pixel_size_nm=80,
    phases=5,
    beams="three",
    modulation=1.3,
    second_modulation=0.65,
    period_nm=395,
    haze_fraction=0,
    background_photons=0,
    oversampling=2,
    photons=200,
    seed=7,
)


@pytest.fixture(scope="module")
def simulation() -> Simulation:
    """A z-stack of filaments under three beams."""
    return simulate_volume(SETTINGS)


@pytest.fixture(scope="module")
def raw(simulation: Simulation) -> ImageStack:
    """The stack above the camera's offset."""
    offset = np.float32(simulation.settings.offset_counts)
    return simulation.raw.derive(simulation.raw.data.astype(np.float32) - offset)


@pytest.fixture(scope="module")
def reconstruction(raw: ImageStack) -> ImageStack:
    """With its frames."""
    return finish(RECONSTRUCT.run(raw, ReconstructParameters(), Context()))


def sharpened(image: ImageStack, context: Context, **parameters: object) -> ImageStack:
    """Run the stage."""
    return finish(STAGE.run(image, DpsParameters(**parameters), context))


def likeness(image: ImageStack, simulation: Simulation) -> float:
    """Return r with the truth, on its grid."""
    shape = PLANES, 2 * SIDE, 2, 2 * SIDE, 2
    found = np.asarray(image.data).reshape(shape).mean(axis=(2, 4))
    inner = (slice(1, -1), slice(16, -16), slice(16, -16))
    truth = simulation.truth.data[inner].ravel()
    return float(np.corrcoef(found[inner].ravel(), truth)[0, 1])


def test_the_frames_bring_light_back_to_its_plane(
    reconstruction: ImageStack, simulation: Simulation
) -> None:
    assert STAGE.takes_volumes(reconstruction, DpsParameters())
    assert not STAGE.takes_volumes(reconstruction, DpsParameters(raw_frames=False))
    assert not STAGE.takes_volumes(reconstruction, DpsParameters(dimension="2d"))
    assert not STAGE.takes_volumes(reconstruction, DpsParameters(uncertainty=True))
    context = Context()
    found = sharpened(reconstruction, context)
    assert found.shape == (PLANES, 4 * SIDE, 4 * SIDE)
    assert found.frames is None
    assert not context.warnings
    planes = [
        sharpened(reconstruction.derive(p, axes="YX", frames=None), Context()).data
        for p in reconstruction.data
    ]
    alone = found.derive(np.stack(planes))
    assert likeness(found, simulation) > likeness(alone, simulation) + 0.1
    # Counts per plane, as of the reconstruction.
    total = float(found.data.mean() / reconstruction.data.mean())
    assert total == pytest.approx(1, abs=0.15)


def test_joint_begins_with_the_reconstruction(
    reconstruction: ImageStack, simulation: Simulation
) -> None:
    found = sharpened(reconstruction, Context(), method="joint")
    first = reconstruction.data.repeat(2, 1).repeat(2, 2)
    before = likeness(reconstruction.derive(first), simulation)
    assert likeness(found, simulation) > before + 0.2


def test_a_run_hands_the_frames_on_through_stages_of_planes(raw: ImageStack) -> None:
    names = ["reconstruct", "background", "dps"]
    result = finish(pipeline.run(raw, pipeline.choose_steps(raw, names)))
    *_, background, sharp = result.images
    assert sharp.shape == (PLANES, 4 * SIDE, 4 * SIDE)
    assert background.shape == (PLANES, 2 * SIDE, 2 * SIDE)
    assert not any("raw frames" in text for text in result.warnings)
    alone = {"dps": DpsParameters(raw_frames=False)}
    steps = pipeline.choose_steps(raw, names, alone)
    without = finish(pipeline.run(raw, steps)).images[-1]
    assert not np.allclose(sharp.data, without.data)


def test_wrong_stripes_are_noticed(reconstruction: ImageStack) -> None:
    wrong = tuple(
        pattern.model_copy(
            update={
                "orders": tuple(
                    order.model_copy(
                        update={"period_nm": 1.15 * (order.period_nm or 0.0)}
                    )
                    for order in pattern.orders
                )
            }
        )
        for pattern in reconstruction.patterns
    )
    image, context = replace(reconstruction, patterns=wrong), Context()
    found = sharpened(image, context)
    assert found.shape == (PLANES, 4 * SIDE, 4 * SIDE)
    assert any("do not agree with the stripes" in text for text in context.warnings)
    with pytest.raises(InputError, match="do not agree"):
        sharpened(image, Context(), method="joint")


def test_without_memory_the_planes_are_sharpened_alone(
    reconstruction: ImageStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(raw_volume, "available_bytes", lambda device: 10**7)
    context = Context()
    assert sharpened(reconstruction, context).shape[0] == PLANES
    assert any("too little memory" in text for text in context.warnings)


def test_tiles_join_without_a_seam(
    reconstruction: ImageStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    behind = recording_behind(reconstruction)
    assert behind is not None
    planes = np.asarray(reconstruction.data, dtype=np.float32)

    def fitted() -> np.ndarray:
        steps = raw_volume.raw_volume_steps(
            behind, planes, strength=0.3, width=0.5, context=Context()
        )
        return np.asarray(finish(steps))

    whole = fitted()
    monkeypatch.setattr(raw_volume, "OVERLAP_PX", 24)
    monkeypatch.setattr(raw_volume._Fit, "_edge", lambda self: 32)
    tiles = fitted()
    assert np.sqrt(np.mean((tiles - whole) ** 2)) < 0.05 * whole.std()


@pytest.mark.parametrize("unit", [4.0, 1e-6])
def test_counts_scale_with_the_frames(reconstruction: ImageStack, unit: float) -> None:
    one = sharpened(reconstruction, Context(), method="joint", strength=0.2)
    frames = reconstruction.frames
    assert frames is not None
    factor = np.float32(unit)
    other = reconstruction.derive(
        factor * reconstruction.data, frames=replace(frames, data=factor * frames.data)
    )
    found = sharpened(other, Context(), method="joint", strength=0.2).data / factor
    assert np.allclose(found, one.data, rtol=1e-3, atol=1e-3 * one.data.max())


def test_an_even_background_is_no_light_that_stripes_modulate() -> None:
    simulation = simulate_volume(
        SETTINGS.model_copy(update={"background_photons": 300.0})
    )
    settings, context = simulation.settings, Context()
    data = simulation.raw.data.astype(np.float32) - np.float32(settings.offset_counts)
    raw = simulation.raw.derive(data)
    image = finish(RECONSTRUCT.run(raw, ReconstructParameters(), Context()))
    found = sharpened(image, context)
    assert not context.warnings
    planes = [
        sharpened(image.derive(p, axes="YX", frames=None), Context()).data
        for p in image.data
    ]
    alone = found.derive(np.stack(planes))
    assert likeness(found, simulation) > likeness(alone, simulation)
