"""Finding illumination patterns: ours against napari-sim-processor 0.1.1.

Fresh simulated raw stacks (5 structures × stripes at 1.08, 0.9 and 0.5 of the cut-off ×
modulation 0.2–0.9 × 5–5000 photons, with haze, bleaching, phase and intensity errors,
read and row noise) go through both in turn. The peer always answers; its answer counts
as a call. It needs a search radius ``eta``: all of several are tried, and it is scored
at the one that serves all stacks best, and at the best for each stack.

    pip install --no-deps -r benchmarks/requirements.txt
    python benchmarks/patterns.py --out docs/benchmarks/patterns.md
"""

from __future__ import annotations

import itertools
import math
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from page import options, publish, table
from peer import peer_processor

from napari_dps.core import Pattern
from napari_dps.physics.sim.estimate import PatternEstimator
from napari_dps.physics.simulate import Simulation, simulate
from napari_dps.physics.simulate_settings import SimulationSettings

STRUCTURES = ("microtubules", "actin", "er", "vesicles", "mitochondria")
FREQUENCIES = (1.08, 0.9, 0.5)
ETAS = (0.2, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
PHOTON_EDGES = (5, 16, 50, 160, 500, 1600, 5000)
TIMED_SIZE = 512
PICTURE = "patterns.png"
RIGHT_BINS = 1.5
"""A wave vector is right within this many bins of 1/field."""


@dataclass(frozen=True)
class Call:
    """One angle of one stack."""

    photons: float
    frequency: float
    status: str
    bins: float
    """Distance of the wave vector, or of the best peak if not called, in bins."""
    phase_deg: float
    """Error of the phases at the centre of the field, mean over the frames."""
    peer_bins: tuple[float, ...]
    """Distance of the peer's wave vector at each eta."""

    @property
    def is_right(self) -> bool:
        """Whether the best peak is the truth's."""
        return self.bins < RIGHT_BINS


def settings(index: int, size: int, seed: int) -> SimulationSettings:
    """Draw the settings of one stack; structures and frequencies take turns."""
    rng = np.random.default_rng([seed, index])
    na, emission_nm = rng.uniform(1.1, 1.49), rng.uniform(500, 660)
    cutoff_nm = emission_nm / (2 * na)
    photons = float(np.exp(rng.uniform(math.log(5), math.log(5000))))
    frequency = FREQUENCIES[index // len(STRUCTURES) % len(FREQUENCIES)]
    return SimulationSettings(
        structure=STRUCTURES[index % len(STRUCTURES)],
        height_px=size,
        width_px=size,
        na=na,
        emission_nm=emission_nm,
        pixel_size_nm=cutoff_nm * rng.uniform(0.27, 0.45),
        period_nm=cutoff_nm / frequency / rng.uniform(0.98, 1.02),
        first_angle_deg=rng.uniform(0, 180),
        modulation=rng.uniform(0.2, 0.9),
        phase_error_deg=rng.uniform(0, 6),
        intensity_jitter=rng.uniform(0, 0.05),
        bleaching=rng.uniform(0, 0.02),
        haze_fraction=rng.uniform(0, 0.5),
        photons=photons,
        background_photons=rng.uniform(0, 0.2) * photons,
        read_noise_e=rng.uniform(0.8, 2.5),
        row_noise_e=float(rng.choice([0.0, 0.0, 0.3])),
        seed=int(rng.integers(2**31)),
    )


def distance_bins(found: np.ndarray, truth: np.ndarray, size: int) -> float:
    """Distance of wave vectors (cycles per pixel) in bins, either sign."""
    return float(min(np.linalg.norm(found - s * truth) for s in (1, -1)) * size)


def phase_error_deg(found: Pattern, truth: Pattern, field_nm: float) -> float:
    """Mean error of the phases at the centre of the field."""
    k, k_true = (np.array(p.orders[0].wavevector_per_nm) for p in (found, truth))
    phases, true = (
        np.radians(p.phases_deg) + 2 * math.pi * v.sum() * field_nm / 2
        for p, v in ((found, k), (truth, k_true))
    )
    if k @ k_true < 0:
        phases = -phases
    return float(np.degrees(np.abs(np.angle(np.exp(1j * (phases - true))))).mean())


def run_ours(simulation: Simulation) -> tuple[list[tuple], float]:
    """Status, wave vector and pattern of each angle, and the CPU seconds."""
    optics = simulation.settings.optics
    raw = simulation.raw.data.astype(np.float32) - simulation.settings.offset_counts
    started = time.thread_time()
    estimator = PatternEstimator(torch.from_numpy(raw), optics)
    for angle in range(estimator.angles):
        estimator.search(angle)
    patterns = estimator.patterns()
    seconds = time.thread_time() - started
    bands = [estimator.best_band(angle) for angle in range(estimator.angles)]
    rows = [
        (band.status, np.array(band.wavevector), pattern)
        for band, pattern in zip(bands, patterns, strict=True)
    ]
    return rows, seconds


def run_peer(simulation: Simulation, eta: float) -> tuple[list[np.ndarray], float]:
    """Wave vectors in cycles per pixel, and the CPU seconds."""
    optics = simulation.settings.optics
    peer = peer_processor(optics)
    peer.eta, peer.usePhases = eta, False
    frames = simulation.raw.data.reshape(-1, *simulation.raw.shape[-2:])
    frames = frames.astype(np.float32) - simulation.settings.offset_counts
    started = time.thread_time()
    peer.calibrate(frames)
    seconds = time.thread_time() - started
    scale = optics.na / optics.emission_nm * optics.pixel_size_nm
    vectors = [np.array([y, x]) * scale for y, x in zip(peer.ky, peer.kx, strict=True)]
    return [vector.ravel() for vector in vectors], seconds


def time_both(size: int, rounds: int = 9) -> tuple[float, float]:
    """Least CPU ms of ours and of the peer's ``calibrate``, taking turns."""
    simulation = simulate(settings(6, size, 1))
    pairs = [
        (run_ours(simulation)[1], run_peer(simulation, 0.8)[1]) for _ in range(rounds)
    ]
    ours, theirs = (1000 * min(times) for times in zip(*pairs, strict=True))
    return ours, theirs


def compare(index: int, size: int, seed: int) -> list[Call]:
    """Run both on one stack."""
    simulation = simulate(settings(index, size, seed))
    drawn = simulation.settings
    ours, _ = run_ours(simulation)
    runs = [run_peer(simulation, eta) for eta in ETAS]
    calls = []
    for n, (truth, (status, wavevector, pattern)) in enumerate(
        zip(simulation.patterns, ours, strict=True)
    ):
        k = np.array(truth.orders[0].wavevector_per_nm) * drawn.pixel_size_nm
        called = pattern.is_usable
        field_nm = (size - 1) * drawn.pixel_size_nm
        calls.append(
            Call(
                drawn.photons,
                FREQUENCIES[index // len(STRUCTURES) % len(FREQUENCIES)],
                status,
                distance_bins(wavevector, k, size),
                phase_error_deg(pattern, truth, field_nm) if called else math.nan,
                tuple(distance_bins(vectors[n], k, size) for vectors, _ in runs),
            )
        )
    return calls


def report(calls: list[Call], stacks: int, size: int) -> str:
    """Return the tables in Markdown."""
    peer = np.array([call.peer_bins for call in calls]) < RIGHT_BINS
    best = int(peer.mean(axis=0).argmax())
    right = [c for c in calls if c.status != "not found" and c.is_right]
    called = [c for c in calls if c.status != "not found"]
    tellable = [c for c in calls if c.is_right]
    errors = np.array([c.bins for c in right])
    phases = np.array([c.phase_deg for c in right])
    ours, theirs = time_both(TIMED_SIZE)
    oracle = _oracle(calls)
    alone = [c for c in called if c.status == "found"]
    called_falsely = sum(not c.is_right for c in called)
    alone_falsely = sum(not c.is_right for c in alone)
    header = ["", "napari-dps", "peer, best single eta", "peer, best eta of each stack"]
    rows = [
        [
            "right, of all angles",
            f"{len(right) / len(calls):.1%}",
            f"{peer[:, best].mean():.1%} (eta {ETAS[best]})",
            f"{oracle.mean():.1%}",
        ],
        [
            "false, of those called",
            f"{share(called_falsely, called)} ({called_falsely} of {len(called)})",
            f"{1 - peer[:, best].mean():.1%}",
            f"{1 - oracle.mean():.1%}",
        ],
        [
            "… called alone (found)",
            f"{share(alone_falsely, alone)} ({alone_falsely} of {len(alone)})",
            "",
            "",
        ],
        [
            "called, of angles whose highest peak is right",
            share(len(right), tellable),
            "",
            "",
        ],
        [
            "error of the wave vector, median / 90 %, bins",
            f"{np.median(errors):.3f} / {np.percentile(errors, 90):.3f}",
            _peer_error(calls, best),
            "",
        ],
        [
            "error of the phase, median / 90 %",
            f"{np.median(phases):.1f}° / {np.percentile(phases, 90):.1f}°",
            "",
            "",
        ],
        [
            f"CPU time of one thread, {TIMED_SIZE}² × 9, least of 9 in turns",
            f"{ours:.0f} ms",
            f"{theirs:.0f} ms ({theirs / ours:.1f}×)",
            "",
        ],
    ]
    return f"""# Finding the patterns

`python benchmarks/patterns.py --out docs/benchmarks/patterns.md`

Simulated raw stacks (5 structures × stripes at 1.08, 0.9 and 0.5 of the cut-off ×
modulation 0.2–0.9 × 5–5000 photons in the bright pixels, haze 0–50 %, bleaching, phase
and intensity errors, read and row noise): {stacks} of {size}² × 9, {len(calls)} angles.
The peer is napari-sim-processor 0.1.1; it needs a search radius `eta` and always
answers.

{table(header, rows)}

Right answers of all angles, by photons in the bright pixels of a frame and frequency of
the stripes over the cut-off (napari-dps / peer at its best single eta / peer at the
best eta of each stack):

{by_photons(calls, peer[:, best], oracle)}

![right and false answers against photons]({PICTURE})
"""


def by_photons(calls: list[Call], peer: np.ndarray, oracle: np.ndarray) -> str:
    """Return the table of right answers by photons and frequency."""
    rows = []
    for low, high in itertools.pairwise(PHOTON_EDGES):
        cells = []
        for frequency in FREQUENCIES:
            chosen = [
                i
                for i, c in enumerate(calls)
                if low <= c.photons < high and c.frequency == frequency
            ]
            if not chosen:
                cells.append("–")
                continue
            right = np.mean(
                [calls[i].status != "not found" and calls[i].is_right for i in chosen]
            )
            theirs, best = peer[chosen].mean(), oracle[chosen].mean()
            cells.append(f"{right:.0%} / {theirs:.0%} / {best:.0%}")
        rows.append([f"{low}–{high}", *cells])
    return table(["photons", *(f"{f:g}" for f in FREQUENCIES)], rows)


def share(count: int, calls: list[Call]) -> str:
    """Return a number of calls as a share of some."""
    return f"{count / max(len(calls), 1):.1%}"


def _oracle(calls: list[Call]) -> np.ndarray:
    """Whether the peer is right at the eta that serves each stack best."""
    right = np.array([c.peer_bins for c in calls]) < RIGHT_BINS
    stacks = right.reshape(-1, 3, len(ETAS))
    best = stacks.mean(axis=1).argmax(axis=1)
    return np.take_along_axis(stacks, best[:, None, None], axis=2).ravel()


def _peer_error(calls: list[Call], best: int) -> str:
    errors = np.array([c.peer_bins[best] for c in calls])
    errors = errors[errors < RIGHT_BINS]
    return f"{np.median(errors):.3f} / {np.percentile(errors, 90):.3f}"


def draw(calls: list[Call], path: Path) -> None:
    """Save the curve of right and false answers against photons."""
    from matplotlib.figure import Figure

    peer = np.array([c.peer_bins for c in calls]) < RIGHT_BINS
    best = int(peer.mean(axis=0).argmax())
    edges = np.geomspace(5, 5000, 8)
    centres = np.sqrt(edges[:-1] * edges[1:])
    bins = np.digitize([c.photons for c in calls], edges[1:-1])
    curves = {
        "napari-dps: right": [c.status != "not found" and c.is_right for c in calls],
        "peer: right": list(peer[:, best]),
        "napari-dps: false": [
            c.status != "not found" and not c.is_right for c in calls
        ],
        "peer: false": list(~peer[:, best]),
    }
    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axes = figure.subplots()
    for name, values in curves.items():
        rates = [np.mean(np.array(values)[bins == n]) for n in range(len(centres))]
        colour = "tab:blue" if name.startswith("napari") else "tab:orange"
        axes.semilogx(
            centres, rates, "o-" if "right" in name else "x--", color=colour, label=name
        )
    axes.set_xlabel("photons in the bright pixels of a frame")
    axes.set_ylabel("share of all angles")
    axes.set_ylim(-0.02, 1.02)
    axes.legend()
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=120)


def main() -> None:
    """Run the comparison."""
    parser = options(__doc__)
    parser.add_argument("--stacks", type=int, default=300)
    parser.add_argument("--size", type=int, default=256, help="pixels a side")
    parser.add_argument("--seed", type=int, default=2026)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    calls: list[Call] = []
    for index in range(chosen.stacks):
        calls += compare(index, chosen.size, chosen.seed)
        if index % 20 == 19:
            print(f"{index + 1} of {chosen.stacks} stacks", flush=True)
    text = report(calls, chosen.stacks, chosen.size)
    for call in calls:
        if call.status != "not found" and not call.is_right:
            print("false:", call)
    publish(text, chosen.out)
    if chosen.out is not None:
        draw(calls, chosen.out.with_name(PICTURE))


if __name__ == "__main__":
    main()
