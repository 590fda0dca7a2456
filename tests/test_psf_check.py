"""Whether a run warns of its optics: the same whatever else it does."""

from __future__ import annotations

import pytest

from napari_dps.core import ImageStack, Optics, finish
from napari_dps.physics.simulate import SimulationSettings, simulate
from napari_dps.pipeline import choose_steps, first_plane, run
from napari_dps.stages.dps import DpsParameters

SETTINGS = SimulationSettings(
    height_px=160, width_px=160, photons=1000, structure="microtubules", seed=5
)
CHAINS = [
    ["reconstruct"],
    ["reconstruct", "background"],
    ["reconstruct", "artifacts", "dps"],
    ["reconstruct", "artifacts", "background", "dps"],
]


@pytest.fixture(scope="module")
def raw() -> ImageStack:
    return simulate(SETTINGS).raw


def _wrong(stack: ImageStack, emission_nm: float = 380) -> ImageStack:
    assert stack.optics is not None
    optics = stack.optics.model_copy(update={"emission_nm": emission_nm})
    return stack.derive(stack.data, optics=Optics(**optics.model_dump()))


def _warnings(stack: ImageStack, stages: list[str], psf: str = "stated") -> list[str]:
    parameters = {"dps": DpsParameters(method="rl", psf=psf)}
    steps = choose_steps(
        stack, stages, {k: v for k, v in parameters.items() if k in stages}
    )
    result = finish(run(stack, steps, camera_offset=SETTINGS.offset_counts))
    return [text for text in result.warnings if "PSF of the image" in text]


def test_reconstructions_warn_alike_whatever_follows(raw):
    found = [_warnings(_wrong(raw), stages) for stages in CHAINS]
    assert [len(texts) for texts in found] == [1] * len(CHAINS)
    assert len({texts[0].split(";")[0] for texts in found}) == 1
    assert "wider than" in found[0][0]
    # Only where dps runs there is a parameter that helps.
    assert ["dps.psf measured" in texts[0] for texts in found] == [
        "dps" in stages for stages in CHAINS
    ]


def test_right_optics_are_not_warned_of(raw):
    assert _warnings(raw, ["reconstruct", "dps"]) == []


def test_plain_images_warn_alike_where_they_are_sharpened(raw):
    image = _wrong(first_plane(raw), 700)
    alone, cleaned = (_warnings(image, [*s, "dps"]) for s in ([], ["background"]))
    assert alone == cleaned
    assert len(alone) == 1
    assert "narrower than" in alone[0]
    assert _warnings(image, ["background"]) == []


def test_what_measures_the_psf_warns_itself_and_once(raw):
    assert len(_warnings(_wrong(first_plane(raw), 700), ["dps"], "measured")) == 1
