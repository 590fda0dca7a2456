"""Finding illumination patterns where it is hard, or where there are none.

Fresh simulated stacks of the kinds that mislead a search: one object much brighter than
the rest, stripes outside the range that is searched, wrong optics, gratings and dots,
unequal phase steps, and frames without stripes or without noise.

    python benchmarks/patterns_hard.py [speck] [outside] [phases] [empty]
"""

from __future__ import annotations

import argparse
import itertools
import math
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch

from napari_dps.core import Optics, Pattern, PatternOrder
from napari_dps.physics.phantoms import phantom
from napari_dps.physics.sim.estimate import PatternEstimator
from napari_dps.physics.simulate import Simulation, simulate, simulate_object
from napari_dps.physics.simulate_settings import SimulationSettings

STRUCTURES = ("microtubules", "actin", "er", "vesicles", "mitochondria")
LAYOUTS: tuple[dict, ...] = (
    {"angles": 3, "phases": 3},
    {"angles": 3, "phases": 5},
    {"angles": 1, "phases": 7, "pattern": "hexagonal"},
)
SIZE = 192
MARGIN = 24
"""Pixels simulated around the frames."""
RIGHT = 0.01
"""A wave vector is right within this share of its length, or `RIGHT_BINS`."""
RIGHT_BINS = 1.0


class Scene(NamedTuple):
    """Frames as they came, what was typed, and the truth."""

    name: str
    frames: np.ndarray
    optics: Optics
    pixel_size_nm: float
    """The true one, that of the truth; the typed one may differ."""
    truth: tuple[Pattern, ...]


def estimate(frames: np.ndarray, optics: Optics) -> list[Pattern]:
    """Run the search on counts above the camera's offset."""
    estimator = PatternEstimator(
        torch.from_numpy(np.ascontiguousarray(frames, dtype=np.float32)), optics
    )
    for angle in range(estimator.angles):
        estimator.search(angle)
    return estimator.patterns()


def settings(rng: np.random.Generator, **changes) -> SimulationSettings:
    """Draw the optics of one stack."""
    na, emission_nm = rng.uniform(1.1, 1.45), rng.uniform(500, 640)
    cutoff_nm = emission_nm / (2 * na)
    frequency = changes.pop("frequency", None) or rng.choice([0.5, 0.75, 0.9, 1.05])
    double = 2 if changes.get("phases", 3) == 5 else 1
    if double == 2:
        frequency = min(frequency, 0.9)
    values = {
        "height_px": SIZE,
        "width_px": SIZE,
        "na": na,
        "emission_nm": emission_nm,
        "pixel_size_nm": cutoff_nm * rng.uniform(0.3, 0.45),
        "period_nm": double * cutoff_nm / frequency,
        "first_angle_deg": rng.uniform(0, 180),
        "modulation": rng.uniform(0.3, 0.6),
        "haze_fraction": rng.uniform(0, 0.3),
        "phase_error_deg": rng.uniform(0, 4),
        "intensity_jitter": rng.uniform(0, 0.03),
        "seed": int(rng.integers(2**31)),
        **changes,
    }
    photons = values.get("photons", 300)
    values.setdefault("background_photons", rng.uniform(0, 0.1) * photons)
    return SimulationSettings(**values)


def counts(simulation: Simulation) -> np.ndarray:
    """Frames less the offset."""
    return simulation.raw.data.astype(np.float32) - simulation.settings.offset_counts


def with_speck(
    simulation: Simulation, ratio: float, rng: np.random.Generator
) -> np.ndarray:
    """Add an object ``ratio`` times as bright as the structures, and record anew."""
    drawn = simulation.settings
    fine, side = drawn.oversampling, (SIZE + 2 * MARGIN)
    spot = np.zeros((side * fine, side * fine), np.float32)
    y, x = rng.uniform(MARGIN + 12, MARGIN + SIZE - 12, 2) * fine
    rows, columns = np.ogrid[: side * fine, : side * fine]
    radius = rng.choice([0, 80, 200]) / drawn.pixel_size_nm * fine
    spot[np.hypot(rows - y, columns - x) <= max(radius, 0.8)] = 1
    added = simulate_object(
        spot,
        drawn.model_copy(update={"background_photons": 0.0, "haze_fraction": 0.0}),
        patterns=simulation.patterns,
        margin_px=(MARGIN, MARGIN),
    ).clean
    structures = simulation.clean - drawn.background_photons
    level = np.percentile(structures.mean(axis=(0, 1)), 99)
    added = added * (ratio * level / added.mean(axis=(0, 1)).max())
    noise = np.random.default_rng([drawn.seed, 7])
    photons = (simulation.clean + added).astype(np.float32)
    return drawn.camera.record(photons, noise).astype(np.float32) - drawn.offset_counts


def angle_errors(found: list[Pattern], scene_truth, pixel_nm, typed_pixel_nm, size):
    """Yield (status, relative error) of each order called of each pattern."""
    for pattern in found:
        truths = [t for t in scene_truth if t.angle_index == pattern.angle_index]
        vectors = [
            np.array(order.wavevector_per_nm) * pixel_nm
            for truth in truths
            for order in truth.orders
        ]
        for order in pattern.orders:
            if not order.is_usable:
                yield order.status, math.nan
                continue
            k = np.array(order.wavevector_per_nm) * typed_pixel_nm
            errors = [
                min(np.linalg.norm(k - s * v) for s in (1, -1))
                / max(np.linalg.norm(v) * RIGHT, RIGHT_BINS / size)
                for v in vectors
            ]
            yield order.status, min(errors, default=math.inf)


def judge(scene: Scene) -> list[tuple[str, float, Pattern]]:
    """Return status and error (1: the largest that is right) of each order."""
    found = estimate(scene.frames, scene.optics)
    rows = angle_errors(
        found,
        scene.truth,
        scene.pixel_size_nm,
        scene.optics.pixel_size_nm,
        min(scene.frames.shape[-2:]),
    )
    return [(status, error, found) for status, error in rows]


def specks(stacks: int, seed: int) -> Iterator[tuple[float, float, Scene, Scene]]:
    """Yield photons, ratio, the scene without and the scene with a speck."""
    kinds = list(itertools.product(STRUCTURES, LAYOUTS, (30.0, 200.0)))
    for index in range(stacks):
        structure, layout, photons = kinds[index % len(kinds)]
        rng = np.random.default_rng([seed, index])
        ratio = float(np.exp(rng.uniform(math.log(3), math.log(30))))
        simulation = simulate(
            settings(rng, structure=structure, photons=photons, **layout)
        )
        drawn = simulation.settings
        common = (drawn.optics, drawn.pixel_size_nm, simulation.patterns)
        yield (
            photons,
            ratio,
            Scene("plain", counts(simulation), *common),
            Scene("speck", with_speck(simulation, ratio, rng), *common),
        )


def run_specks(stacks: int, seed: int) -> None:
    """Print how many angles a speck hides."""
    plain_right: Counter = Counter()
    both_right: Counter = Counter()
    false, gains = 0, []
    for photons, ratio, plain, speck in specks(stacks, seed):
        without, with_it = judge(plain), judge(speck)
        group = (photons, "< 10" if ratio < 10 else ">= 10")
        for (_, error, _), (status, other, _) in zip(without, with_it, strict=True):
            if error <= 1:
                plain_right[group] += 1
                both_right[group] += other <= 1
            false += status != "not found" and other > 1
        gains.append((without, with_it))
    print("| photons | speck over structures | found without | with it |")
    print("| --- | --- | --- | --- |")
    for group in sorted(plain_right):
        share = both_right[group] / plain_right[group]
        print(f"| {group[0]:g} | {group[1]} | {plain_right[group]} | {share:.1%} |")
    share = sum(both_right.values()) / max(sum(plain_right.values()), 1)
    print(f"all: {share:.2%} of {sum(plain_right.values())} orders; false {false}\n")


def outside_range(rng: np.random.Generator, structure: str) -> Scene:
    """Stripes coarser or finer than the search goes."""
    low = rng.random() < 0.5
    frequency = rng.uniform(0.06, 0.185) if low else rng.uniform(1.17, 1.45)
    simulation = simulate(
        settings(rng, structure=structure, photons=300.0, frequency=frequency)
    )
    drawn = simulation.settings
    return Scene(
        f"outside {frequency:.2f}",
        counts(simulation),
        drawn.optics,
        drawn.pixel_size_nm,
        simulation.patterns,
    )


def wrong_optics(rng: np.random.Generator, structure: str) -> Scene:
    """NA, wavelength or pixel size typed wrongly."""
    simulation = simulate(settings(rng, structure=structure, photons=300.0))
    drawn = simulation.settings
    optics = drawn.optics
    factor = float(rng.choice([0.4, 0.5, 0.62, 0.75, 1.3, 1.6, 2.0]))
    which = rng.choice(["na", "emission_nm", "pixel_size_nm"])
    value = getattr(optics, which) * factor
    limits = {"na": (0.2, 1.49), "emission_nm": (250, 1500)}
    value = float(np.clip(value, *limits.get(str(which), (10, 1000))))
    typed = optics.model_copy(update={str(which): value})
    return Scene(
        f"{which} x {factor}",
        counts(simulation),
        typed,
        drawn.pixel_size_nm,
        simulation.patterns,
    )


def periodic_object(kind: str, fine_px: float, side: int, rng) -> np.ndarray:
    """Return a grating, dots or an even film; ``fine_px`` is the period."""
    y, x = np.mgrid[:side, :side].astype(np.float32)
    turn = rng.uniform(0, math.pi)
    u = (x * math.cos(turn) + y * math.sin(turn)) / fine_px
    v = (-x * math.sin(turn) + y * math.cos(turn)) / fine_px
    if kind == "film":
        return np.ones((side, side), np.float32)
    if kind == "grating":
        return ((u % 1) < rng.uniform(0.3, 0.6)).astype(np.float32)
    if kind == "sine":
        return (1 + rng.uniform(0.5, 1) * np.cos(2 * np.pi * u)).astype(np.float32)
    lattice = (np.hypot(u % 1 - 0.5, v % 1 - 0.5) < rng.uniform(0.1, 0.3)).astype(
        np.float32
    )
    return lattice


def periodic(rng: np.random.Generator, kind: str, photons: float = 300.0) -> Scene:
    """Simulate a slide with a periodic sample."""
    drawn = settings(rng, photons=photons, frequency=0.8)
    fine, side = drawn.oversampling, SIZE + 2 * MARGIN
    period_nm = rng.uniform(1.2, 5) * drawn.optics.cutoff_period_nm
    emitters = periodic_object(
        kind, period_nm / drawn.pixel_size_nm * fine, side * fine, rng
    )
    simulation = simulate_object(emitters, drawn, margin_px=(MARGIN, MARGIN))
    return Scene(
        kind,
        counts(simulation),
        drawn.optics,
        drawn.pixel_size_nm,
        simulation.patterns,
    )


def nonlinear(rng: np.random.Generator, structure: str) -> Scene:
    """Stripes with a second harmonic that three phases cannot separate."""
    frequency = rng.choice([0.15, 0.45, 0.6])
    drawn = settings(rng, structure=structure, photons=300.0, frequency=frequency)
    fine, side = drawn.oversampling, SIZE + 2 * MARGIN
    emitters = phantom(
        structure,
        (side * fine, side * fine),
        pixel_size_nm=drawn.pixel_size_nm / fine,
        seed=drawn.seed,
    )
    patterns = []
    for angle in range(3):
        degrees = (drawn.first_angle_deg + 60 * angle) % 180
        orders = tuple(
            PatternOrder(
                order=n,
                period_nm=drawn.period_nm / n,
                angle_deg=degrees,
                modulation=m,
            )
            for n, m in ((1, 0.6), (2, 0.25))
        )
        first = rng.uniform(0, 360)
        patterns.append(
            Pattern(
                angle_index=angle,
                phases_deg=(first, first + 120, first + 240),
                orders=orders,
            )
        )
    simulation = simulate_object(
        emitters, drawn, patterns=patterns, margin_px=(MARGIN, MARGIN)
    )
    truth = tuple(p.model_copy(update={"orders": p.orders[:1]}) for p in patterns)
    return Scene(
        f"harmonics {frequency}",
        counts(simulation),
        drawn.optics,
        drawn.pixel_size_nm,
        truth,
    )


MISLEADING = (
    outside_range,
    wrong_optics,
    lambda rng, _: periodic(rng, str(rng.choice(["grating", "sine"]))),
    lambda rng, _: periodic(rng, "dots"),
    nonlinear,
    lambda rng, _: periodic(rng, "film"),
)


def run_misleading(stacks: int, seed: int) -> None:
    """Print what is called where stripes are easily taken for others."""
    tallies: dict[str, Counter] = {}
    for index in range(stacks):
        rng = np.random.default_rng([seed, index])
        structure = STRUCTURES[index // len(MISLEADING) % len(STRUCTURES)]
        scene = MISLEADING[index % len(MISLEADING)](rng, structure)
        tally = tallies.setdefault(scene.name.split()[0], Counter())
        for status, error, found in judge(scene):
            verdict = status if math.isnan(error) else f"{status}, right"
            if error > 1:
                verdict = f"{status}, WRONG"
                pattern = [(p.period_nm, p.angle_deg, p.modulation) for p in found]
                print(f"wrong: {index} {scene.name}: {status} {error:.1f} {pattern}")
            tally[verdict] += 1
    print("| kind | orders called |")
    print("| --- | --- |")
    for name, tally in tallies.items():
        text = ", ".join(f"{n} {verdict}" for verdict, n in sorted(tally.items()))
        print(f"| {name} | {text} |")
    print()


def phase_scene(rng: np.random.Generator, structure: str, kind, photons: float):
    """Simulate steps of the phase that jitter by 20° rms, or of 60° or 90°."""
    drawn = settings(rng, structure=structure, photons=photons)
    fine, side = drawn.oversampling, SIZE + 2 * MARGIN
    emitters = phantom(
        structure,
        (side * fine, side * fine),
        pixel_size_nm=drawn.pixel_size_nm / fine,
        seed=drawn.seed,
    )
    patterns = []
    for angle in range(3):
        step = 120 if kind == "jitter" else kind
        phases = rng.uniform(0, 360) + step * np.arange(3)
        if kind == "jitter":
            phases = phases + rng.normal(0, 20, 3)
        order = PatternOrder(
            period_nm=drawn.period_nm,
            angle_deg=(drawn.first_angle_deg + 60 * angle) % 180,
            modulation=drawn.modulation,
        )
        patterns.append(
            Pattern(angle_index=angle, phases_deg=tuple(phases), orders=(order,))
        )
    return simulate_object(
        emitters, drawn, patterns=patterns, margin_px=(MARGIN, MARGIN)
    )


def step_errors_deg(found: Pattern, truth: Pattern) -> np.ndarray:
    """Errors of the phases of an angle, less what all have in common."""
    errors = []
    for sign in (1, -1):
        turned = np.exp(
            1j * np.radians(sign * np.array(found.phases_deg) - truth.phases_deg)
        )
        errors.append(np.degrees(np.angle(turned * np.conj(turned.mean()))))
    return min(errors, key=lambda e: float((e**2).sum()))


def run_phases(stacks: int, seed: int) -> None:
    """Print the errors of fitted phases."""
    print("| steps | photons | angles fitted | rms | 90 % | equal steps, rms |")
    print("| --- | --- | --- | --- | --- | --- |")
    for kind, photons in itertools.product(("jitter", 60, 90), (300.0, 30.0)):
        errors, equal, total = [], [], 0
        for index in range(stacks):
            rng = np.random.default_rng([seed, index])
            simulation = phase_scene(
                rng, STRUCTURES[index % len(STRUCTURES)], kind, photons
            )
            found = estimate(counts(simulation), simulation.settings.optics)
            for pattern, truth in zip(found, simulation.patterns, strict=True):
                total += 1
                if pattern.is_usable:
                    errors.append(step_errors_deg(pattern, truth))
                    even = pattern.model_copy(
                        update={"phases_deg": (0.0, 120.0, 240.0)}
                    )
                    equal.append(step_errors_deg(even, truth))
        values, even = np.array(errors), np.array(equal)
        print(
            f"| {kind} | {photons:g} | {len(errors)} of {total} | "
            f"{np.sqrt((values**2).mean()):.2f}° | "
            f"{np.percentile(np.abs(values), 90):.2f}° | "
            f"{np.sqrt((even**2).mean()):.1f}° |",
            flush=True,
        )
    print()


def empty_frames(rng: np.random.Generator, kind: str) -> np.ndarray:
    """Frames without stripes."""
    shape = (3, 3, 128, 128)
    level = float(np.exp(rng.uniform(math.log(1), math.log(60000))))
    if kind == "constant":
        return np.full(shape, level)
    y, x = np.mgrid[:128, :128]
    turn = rng.uniform(0, 2 * math.pi)
    if kind == "ramp":
        ramp = x * math.cos(turn) + y * math.sin(turn)
        return np.broadcast_to(level * (1.1 + ramp / 128 - ramp.min() / 128), shape)
    structure = str(rng.choice(STRUCTURES))
    simulation = simulate(
        settings(rng, structure=structure, modulation=0.0, height_px=128, width_px=128)
    )
    if kind == "noise-free":
        factors = 1 + rng.normal(0, 0.05, (3, 3, 1, 1)) * rng.integers(0, 2)
        return simulation.clean.mean(axis=(0, 1)) * factors
    frames = counts(simulation)
    if kind == "saturated":
        return np.minimum(frames, np.percentile(frames, rng.uniform(1, 90)))
    return frames


def run_empty(stacks: int, seed: int) -> None:
    """Print what is called where there are no stripes."""
    optics = Optics(na=1.3, emission_nm=525, pixel_size_nm=65)
    kinds = ("constant", "ramp", "noise-free", "saturated", "even light")
    tally: Counter = Counter()
    for index in range(stacks):
        rng = np.random.default_rng([seed, index])
        kind = kinds[index % len(kinds)]
        for pattern in estimate(empty_frames(rng, kind), optics):
            tally[kind, pattern.status] += 1
    for key, number in sorted(tally.items()):
        print(f"{key[0]}: {number} {key[1]}")
    print()


def main() -> None:
    """Run what is named, or all."""
    runs = {
        "speck": (run_specks, 100),
        "outside": (run_misleading, 150),
        "phases": (run_phases, 20),
        "empty": (run_empty, 100),
    }
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kinds", nargs="*", choices=[*runs, []], help="all when none")
    parser.add_argument("--stacks", type=int, help="instead of the usual number")
    parser.add_argument("--seed", type=int, default=2026)
    options = parser.parse_args()
    torch.set_num_threads(1)
    for kind in options.kinds or runs:
        run, usual = runs[kind]
        print(f"{kind}:")
        run(options.stacks or usual, options.seed)


if __name__ == "__main__":
    main()
