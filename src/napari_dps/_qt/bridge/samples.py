"""Sample data: raw SIM stacks, simulated in less than two seconds, with their truth."""

from functools import partial
from typing import Any

from napari_dps._qt.bridge.layers import METADATA, ROLE, TRUTH
from napari_dps._qt.bridge.result_layers import LayerData, stack_layer
from napari_dps.physics.simulate import SimulationSettings, blur_truth, simulate

TRUTHS = {"SIM": 1.9, "DPS": 3.8}
"""Resolution gain of the truths shown: that of ideal SIM with stripes at 0.9 of the
cut-off, and twice as much, what the super-resolution aims at."""

_TITLES = {
    "microtubules": "Microtubules",
    "actin": "Actin",
    "er": "Endoplasmic reticulum",
    "mitochondria": "Mitochondria",
    "clathrin": "Clathrin-coated pits",
}


def raw_stack(structure: str, **changes: Any) -> list[LayerData]:
    """Return the layers of a sample: raw frames, and (hidden) the truth.

    Parameters
    ----------
    structure : str
        As for `napari_dps.physics.simulate_settings.SimulationSettings`.
    changes
        Other settings of the simulation.
    """
    values = {
        "structure": structure,
        "photons": 120,
        "haze_fraction": 0.5,
        "seed": 7,
    } | changes
    settings = SimulationSettings(**values)
    simulation = simulate(settings)
    name = _TITLES[structure]
    raw = stack_layer(simulation.raw, name, colormap="gray")
    raw[1]["metadata"][METADATA]["camera_offset"] = settings.offset_counts
    truths = [
        stack_layer(
            blur_truth(simulation.truth, modulation_factor=gain),
            f"{name} · truth ({what})",
            visible=False,
            colormap="gray",
        )
        for what, gain in TRUTHS.items()
    ]
    for truth in truths:
        truth[1]["metadata"][METADATA][ROLE] = TRUTH
    return [*truths, raw]


def three_beam_filaments() -> list[LayerData]:
    """Return the layers of a three-beam z-stack: raw frames, and (hidden) the truth."""
    settings = SimulationSettings(
        structure="filaments",
        planes=13,
        beams="three",
        phases=5,
        modulation=1.2,
        second_modulation=0.6,
        height_px=96,
        width_px=96,
        pixel_size_nm=80,
        haze_fraction=0,
        photons=120,
        oversampling=2,
        seed=7,
    )
    simulation = simulate(settings)
    raw = stack_layer(simulation.raw, "Filaments", colormap="gray")
    raw[1]["metadata"][METADATA]["camera_offset"] = settings.offset_counts
    truth = stack_layer(
        simulation.truth, "Filaments · truth", visible=False, colormap="gray"
    )
    truth[1]["metadata"][METADATA][ROLE] = TRUTH
    return [truth, raw]


microtubules = partial(raw_stack, "microtubules")
actin = partial(raw_stack, "actin")
endoplasmic_reticulum = partial(raw_stack, "er")
mitochondria = partial(raw_stack, "mitochondria")
clathrin = partial(raw_stack, "clathrin")
dim_microtubules = partial(raw_stack, "microtubules", photons=15)
