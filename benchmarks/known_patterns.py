"""Known wave vectors at low light: one stack, time-lapses and z-stacks.

The patterns of a bright simulated stack are given to dim ones of the same microscope:
still objects of 1 to 5 photons, whose phases stay or drift by 10° to 16° a time point.
Told are the angles whose stripes are used, how wrong their phases are at the centre of
the field, and how near one time point comes to the truth after denoise and reconstruct.

    python benchmarks/known_patterns.py --numbers now.json
    python benchmarks/known_patterns.py --numbers now.json --before before.json \
        --out docs/benchmarks/known_patterns.md

The first line run at an earlier commit, with ``PYTHONPATH``, gives ``before.json``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from page import options, publish, table

from napari_dps.core import ImageStack, Pattern, finish
from napari_dps.physics.phantoms import phantom
from napari_dps.physics.simulate import (
    Simulation,
    blur_truth,
    simulate,
    simulate_object,
)
from napari_dps.physics.simulate_settings import SimulationSettings
from napari_dps.physics.simulated import margin_of
from napari_dps.pipeline import Plan, choose_steps
from napari_dps.pipeline.camera import Camera
from napari_dps.pipeline.run import run_plan
from napari_dps.pipeline.wave_vectors import with_wave_vectors

STRUCTURES, SEEDS, PHOTONS = ("er", "microtubules"), (1,), (1, 2, 3, 5)
VOLUMES = ("filaments", "shells")
CASES = (
    ("one stack", 1, 0.0),
    ("8 time points", 8, 0.0),
    ("8 time points, drift", 8, 10.0),
    ("32 time points", 32, 0.0),
    ("32 time points, drift", 32, 10.0),
)
DRIFT_MORE = 0.3
"""Every angle drifts faster than the one before it by this share of the first."""
Z_STACK = "z-stack of 16 planes"
SHOWN = 1.8
"""Modulation factor of the truth that results are compared with."""
MARGIN_PX = 16


def settings(structure: str, seed: int, photons: float) -> SimulationSettings:
    """Return the settings of one stack."""
    values = {"planes": 16, "z_step_nm": 150} if structure in VOLUMES else {}
    size = 160 if values else 128
    return SimulationSettings(
        structure=structure,
        height_px=size,
        width_px=size,
        photons=photons,
        background_photons=0.1 * photons,
        phase_error_deg=3,
        read_noise_e=1.0,
        seed=seed,
        **values,
    )


def time_lapse(
    chosen: SimulationSettings, count: int, drift_deg: float
) -> tuple[ImageStack, list[Sequence[Pattern]], Simulation]:
    """Return a time-lapse of a still object, its patterns, and its first stack."""
    first = simulate(chosen)
    rng = np.random.default_rng(chosen.seed + 100)
    frames, patterns = [], []
    for time_point in range(count):
        lit = tuple(
            _turned(p, drift_deg * time_point * (1 + DRIFT_MORE * p.angle_index))
            for p in first.patterns
        )
        clean = first.clean
        if drift_deg and time_point:
            clean = _with_patterns(chosen, lit).clean
        frames.append(chosen.camera.record(clean, rng))
        patterns.append(lit)
    stack = first.raw.derive(np.stack(frames), axes="TAPYX")
    return stack, patterns, first


def _turned(pattern: Pattern, degrees: float) -> Pattern:
    phases = tuple(phase + degrees for phase in pattern.phases_deg)
    return pattern.model_copy(update={"phases_deg": phases})


def _with_patterns(
    chosen: SimulationSettings, patterns: Sequence[Pattern]
) -> Simulation:
    """Simulate the same object lit otherwise."""
    fine = chosen.oversampling
    margin = margin_of(chosen.height_px), margin_of(chosen.width_px)
    emitters = phantom(
        chosen.structure,
        tuple(
            (size + 2 * edge) * fine
            for size, edge in zip(
                (chosen.height_px, chosen.width_px), margin, strict=True
            )
        ),
        pixel_size_nm=chosen.pixel_size_nm / fine,
        seed=chosen.seed,
        separation_nm=chosen.separation_nm,
    )
    return simulate_object(emitters, chosen, patterns=patterns, margin_px=margin)


def run_stages(stack: ImageStack, stages: Sequence[str], offset: float):
    """Run stages; return the last output."""
    plan = Plan.of(stack, choose_steps(stack, list(stages)), camera=Camera(offset))
    return finish(run_plan(plan)).outputs[-1]


def phase_error_deg(found: Pattern, truth: Pattern, field_nm: float) -> float:
    """Root mean square error of the phases at the centre of the field."""
    k, k_true = (np.array(p.orders[0].wavevector_per_nm) for p in (found, truth))
    phases, true = (
        np.radians(p.phases_deg) + math.pi * v.sum() * field_nm
        for p, v in ((found, k), (truth, k_true))
    )
    if k @ k_true < 0:
        phases = -phases
    error = np.degrees(np.angle(np.exp(1j * (phases - true))))
    return float(np.sqrt((error**2).mean()))


def psnr_db(image: np.ndarray, truth: ImageStack) -> float:
    """PSNR after a fit of gain and offset, without the edges."""
    inner = (slice(MARGIN_PX, -MARGIN_PX),) * 2
    wanted = blur_truth(truth, modulation_factor=SHOWN).data[inner]
    system = np.stack([image[inner].ravel(), np.ones(wanted.size)], axis=1)
    fitted = system @ np.linalg.lstsq(system, wanted.ravel(), rcond=None)[0]
    error = np.mean((fitted - wanted.ravel()) ** 2)
    return float(10 * np.log10(wanted.max() ** 2 / error))


def bright_patterns(chosen: SimulationSettings) -> Sequence[Pattern]:
    """Return the patterns of a bright stack of the microscope."""
    return simulate(chosen.model_copy(update={"photons": 1000.0})).patterns


def measure_lapse(
    chosen: SimulationSettings, count: int, drift_deg: float
) -> dict[str, list[float]]:
    """Run one time-lapse, or a single stack."""
    stack, patterns, first = time_lapse(chosen, count, drift_deg)
    if count == 1:
        stack = first.raw.derive(stack.data[0], axes="APYX")
    given = with_wave_vectors(stack, bright_patterns(chosen))
    output = run_stages(given, ["reconstruct"], chosen.offset_counts)
    field_nm = (chosen.width_px - 1) * chosen.pixel_size_nm
    used, errors = [], []
    for index, found in output.patterns.items():
        lit = {p.angle_index: p for p in patterns[index[0] if index else 0]}
        used += [float(p.is_usable) for p in found]
        errors += [
            phase_error_deg(p, lit[p.angle_index], field_nm)
            for p in found
            if p.is_usable
        ]
    middle = (count // 2,) if count > 1 else ()
    one = first.raw.derive(stack.data[middle], axes="APYX")
    images = [
        run_stages(
            one.derive(one.data, patterns=tuple(some)),
            ["denoise", "reconstruct"],
            chosen.offset_counts,
        ).image.data
        for some in (output.patterns[middle], patterns[count // 2])
    ]
    psnr, exact = (psnr_db(image, first.truth) for image in images)
    return {"used": used, "errors": errors, "psnr": [psnr], "exact": [exact]}


def measure_volume(chosen: SimulationSettings) -> dict[str, list[float]]:
    """Run one z-stack: patterns alone."""
    simulation = simulate(chosen)
    given = with_wave_vectors(simulation.raw, bright_patterns(chosen))
    output = run_stages(given, ["reconstruct"], chosen.offset_counts)
    found = next(iter(output.patterns.values()))
    lit = {p.angle_index: p for p in simulation.patterns}
    field_nm = (chosen.width_px - 1) * chosen.pixel_size_nm
    errors = [
        phase_error_deg(p, lit[p.angle_index], field_nm) for p in found if p.is_usable
    ]
    return {"used": [float(p.is_usable) for p in found], "errors": errors}


def measure() -> dict[str, dict[str, list[float]]]:
    """Return what all stacks of each case and number of photons gave."""
    results: dict[str, dict[str, list[float]]] = {}

    def add(name: str, photons: float, more: dict[str, list[float]]) -> None:
        kept = results.setdefault(f"{name}|{photons:g}", {})
        for key, values in more.items():
            kept.setdefault(key, []).extend(values)

    for photons in PHOTONS:
        for seed in SEEDS:
            for structure in STRUCTURES:
                chosen = settings(structure, seed, photons)
                for name, count, drift_deg in CASES:
                    add(name, photons, measure_lapse(chosen, count, drift_deg))
            for structure in VOLUMES:
                chosen = settings(structure, seed, photons)
                add(Z_STACK, photons, measure_volume(chosen))
        print(f"{photons} photons done", flush=True)
    return results


def rows(
    now: dict[str, dict[str, list[float]]], before: dict[str, dict[str, list[float]]]
) -> list[list[str]]:
    """Return the rows of the table."""
    result = []
    for name in [*(case[0] for case in CASES), Z_STACK]:
        for photons in PHOTONS:
            key = f"{name}|{photons:g}"
            cells = [_cells(some.get(key, {})) for some in (before, now)]
            exact = now[key].get("exact")
            result.append(
                [
                    name,
                    f"{photons:g}",
                    *(f"{old} → {new}" for old, new in zip(*cells, strict=True)),
                    f"{np.mean(exact):.2f}" if exact else "",
                ]
            )
    return result


def _cells(values: dict[str, list[float]]) -> list[str]:
    """Return angles used, error of the phases and PSNR."""
    used, errors = values.get("used", []), values.get("errors", [])
    psnr = values.get("psnr", [])
    return [
        f"{np.mean(used):.0%}" if used else "–",
        f"{np.sqrt(np.mean(np.square(errors))):.0f}°" if errors else "–",
        f"{np.mean(psnr):.2f}" if psnr else "–",
    ]


PAGE = """# Known wave vectors at low light

`python benchmarks/known_patterns.py --numbers now.json --before before.json --out
docs/benchmarks/known_patterns.md`

The wave vectors of a bright simulated stack are given to dim ones of the same
microscope: 128² × 9 frames of ER and microtubules, one field each, 1 to 5 photons in
the bright pixels of a frame, phases that stay or that drift by 10°, 13° and 16° a time
point in the three angles; z-stacks of filaments and shells, 16 × 160², two beams.
*Before* is the version whose evidence was that of the mean of the first ten time points
and all planes, angle by angle.

{table}

*Angles used*: of all angles and time points. *Phases*: root mean square error of the
frames' phases at the centre of the field, where stripes are used. *PSNR*: of a time
point in the middle after `denoise` and `reconstruct` with these patterns, against the
truth, after a fit of gain and offset; last column: with the exact patterns.

One stack gains little: three angles have to be sure together where each was believed
by itself, wrongly in one stack of twenty. Where phases stay the mean of ten time points
was enough before; it is where they drift, and in z-stacks, that the sum tells more. At
1 and 2 photons images hardly depend on the phases, since hardly a frequency beyond
the widefield's rises above the noise.

**False alarms** (by hand, with random wrong calibrations). Single stacks of three
structures, 192², 1 to 100 photons: without stripes any angle was used in 2 of 9600
trials, where it was 481 before; with stripes elsewhere in 5 of 9600. Series of 8 and 24
time points of 2 and 30 photons, 128²: 0 of 2700. Where the object moves by 15 nm from
frame to frame, without stripes, 3 of 540.
"""


def main() -> None:
    """Measure, and write the page if there is something to compare with."""
    parser = options(__doc__)
    parser.add_argument("--numbers", type=Path, required=True, help="JSON to write")
    parser.add_argument("--before", type=Path, help="JSON of an earlier version")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    if not chosen.numbers.exists():
        chosen.numbers.write_text(json.dumps(measure()), encoding="utf-8")
    if chosen.before is None:
        return
    now, before = (
        json.loads(path.read_text(encoding="utf-8"))
        for path in (chosen.numbers, chosen.before)
    )
    header = [
        "",
        "photons",
        "angles used",
        "phases",
        "PSNR, dB",
        "exact patterns, dB",
    ]
    publish(PAGE.format(table=table(header, rows(now, before))), chosen.out)


if __name__ == "__main__":
    main()
