"""Wiener reconstruction with known patterns against napari-sim-processor, one thread.

    pip install --no-deps -r benchmarks/requirements.txt
    python benchmarks/reconstruct.py [--out docs/benchmarks/reconstruct.md]

Both get the same simulated stack and the same exact patterns in one process and take
turns; every way of the peer to compute on a CPU takes part. Time is CPU time of one
thread, best of all rounds (median in brackets), of the second of two calls in a row.
Errors are against a filter in double precision that shares no code with the solver
(tests/physics/reference_wiener.py).
"""

from __future__ import annotations

import importlib.util
import statistics
import sys
import time
from pathlib import Path

import numpy as np
from page import machine, options, publish, seconds_of, table
from peer import on_our_grid, peer_with, use_one_thread

from napari_dps.physics.sim.wiener import WienerSettings, WienerSolver
from napari_dps.physics.simulate import SimulationSettings, blur_truth, simulate

REFERENCE = Path(__file__).parents[1] / "tests" / "physics" / "reference_wiener.py"
ROUNDS = 25
OURS = "napari-dps"
OPTIONAL = ("opencv-python-headless", "pyfftw")
STACK = SimulationSettings(modulation=0.8, photons=1000, seed=1)
COMPARED = {
    "NA 1.3, 660 nm": STACK.model_copy(update={"na": 1.3, "emission_nm": 660}),
    "NA 1.4, 525 nm": STACK,
}
OTHERS = {
    "3 × 3, 256²": STACK.model_copy(update={"height_px": 256, "width_px": 256}),
    "3 × 3, 301 × 517": STACK.model_copy(update={"height_px": 301, "width_px": 517}),
    "3 × 3, 1024²": STACK.model_copy(update={"height_px": 1024, "width_px": 1024}),
    "3 × 5, two orders, 512²": STACK.model_copy(
        update={"phases": 5, "modulation": 0.5}
    ),
    "hexagonal 1 × 7, 512²": STACK.model_copy(
        update={"pattern": "hexagonal", "angles": 1, "phases": 7, "modulation": 0.5}
    ),
}


def reference_of(frames, simulation):
    """Return the reconstruction by the filter of the tests, in double precision."""
    spec = importlib.util.spec_from_file_location(REFERENCE.stem, REFERENCE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    optics = simulation.raw.optics
    return module.reference_wiener(
        frames, simulation.patterns, optics, WienerSettings()
    )


def peer_paths(peer, stack):
    """Return {name: (needs, function)} of each of the peer's ways that runs here.

    ``needs`` is what it uses that ``pip install napari-sim-processor`` does not bring.
    """
    base = sys.modules["napari_sim_processor.processors.baseSimProcessor"]
    flat = stack.reshape(-1, *stack.shape[-2:])
    usual_fft = base.fft

    def using(fft, method):
        def run():
            base.fft = fft
            return np.squeeze(getattr(peer, method)(flat))

        return run

    candidates = [
        ("reconstruct_rfftw", "", np.fft),
        ("batchreconstruct", "", np.fft),
        ("reconstruct_pytorch", "PyTorch", usual_fft),
        ("batchreconstruct_pytorch", "PyTorch", usual_fft),
        ("reconstruct_ocv", "OpenCV", usual_fft),
        ("reconstruct_ocvU", "OpenCV", usual_fft),
    ]
    if usual_fft is not np.fft:
        candidates += [
            (method, "pyFFTW", usual_fft)
            for method in ("reconstruct_rfftw", "reconstruct_fftw", "batchreconstruct")
        ]
    paths = {}
    for method, needs, fft in candidates:
        name = f"peer `{method}`" + (f" with {needs}" if needs else "")
        function = using(fft, method)
        try:
            function()
        except Exception as error:  # noqa: BLE001 - the peer's paths fail in many ways
            print(f"{name} does not run: {type(error).__name__}: {error}")
        else:
            paths[name] = needs, function
    return paths


def take_turns(functions, rounds):
    """Return {name: (best, median)} in ms of CPU time."""
    times = {name: [] for name in functions}
    for _ in range(rounds):
        for name, function in functions.items():
            function()
            times[name].append(1000 * seconds_of(function, time.process_time))
    return {name: (min(t), statistics.median(t)) for name, t in times.items()}


def counts(simulation):
    """Return the raw frames without the camera's offset."""
    raw = simulation.raw.data.astype(np.float32)
    return raw - np.float32(simulation.settings.offset_counts)


def relative_error(image, reference):
    """Return the largest error anywhere over the largest value."""
    return np.abs(image - reference).max() / np.abs(reference).max()


def compare(name, settings):
    """Run one comparison; return lines of Markdown."""
    simulation = simulate(settings)
    frames, optics = counts(simulation), simulation.raw.optics
    shape, patterns = frames.shape[-2:], simulation.patterns
    padded = WienerSolver(shape, patterns, optics)
    bare = WienerSolver(shape, patterns, optics, padding_px=0)
    peer = peer_with(patterns, frames, optics)
    paths = peer_paths(peer, frames)
    functions = {
        OURS: lambda: padded.solve(frames),
        f"{OURS}, edges not padded": lambda: bare.solve(frames),
        **{key: function for key, (_, function) in paths.items()},
    }
    images = {key: function() for key, function in functions.items()}
    error = relative_error(images[OURS], reference_of(frames, simulation))
    truth = blur_truth(simulation.truth, modulation_factor=1.9).data
    timed = take_turns(functions, ROUNDS)
    ratios = {key: fastest / timed[OURS][0] for key, (fastest, _) in timed.items()}
    plain = min(ratios[key] for key, (needs, _) in paths.items() if not needs)
    fastest_path = min(paths, key=ratios.__getitem__)
    lines = [
        "",
        f"## {name}: 512² × 9 frames to 1024²",
        "",
        f"Largest error of {OURS}: {error:.1e}. "
        f"{plain:.1f} times as fast as the peer as pip installs it; "
        f"{ratios[fastest_path]:.1f} times as fast as its fastest path here, "
        f"{fastest_path.removeprefix('peer ')}.",
        "",
    ]
    header = ["", "needs besides its requirements", "CPU ms, best (median)"]
    header += [f"times {OURS}", "correlation with truth"]
    rows = []
    for key, (fastest, median) in sorted(timed.items(), key=lambda item: item[1]):
        image = images[key]
        needs = paths[key][0] or "nothing" if key in paths else ""
        if key in paths:
            image = on_our_grid(image)
        likeness = np.corrcoef(image.ravel(), truth.ravel())[0, 1]
        row = [key, needs, f"{fastest:.1f} ({median:.1f})", f"{ratios[key]:.1f}"]
        rows.append([*row, f"{likeness:.3f}"])
    return [*lines, table(header, rows, text_columns=2)]


def other_stacks():
    """Time and check napari-dps on other stacks; return lines of Markdown."""
    rows = []
    for name, settings in OTHERS.items():
        simulation = simulate(settings)
        frames, optics = counts(simulation), simulation.raw.optics
        solver = WienerSolver(frames.shape[-2:], simulation.patterns, optics)
        error = relative_error(solver.solve(frames), reference_of(frames, simulation))
        fastest, _ = take_turns({name: lambda s=solver, f=frames: s.solve(f)}, 5)[name]
        rows.append([name, f"{fastest:.1f}", f"{error:.1e}"])
    header = ["stack", "CPU ms", "largest error"]
    return ["", "## Other stacks", "", table(header, rows)]


def main() -> None:
    """Run the benchmark."""
    chosen = options(__doc__).parse_args()
    use_one_thread()
    compared = [line for item in COMPARED.items() for line in compare(*item)]
    lines = [
        "# Reconstruction with known patterns",
        "",
        "`python benchmarks/reconstruct.py --out docs/benchmarks/reconstruct.md`",
        "",
        "Simulated microtubules, the exact patterns given to both, one thread, taking",
        "turns in one process. The peer is napari-sim-processor; PyTorch, OpenCV and",
        "pyFFTW are not among its requirements, it uses them where they are installed.",
        "Errors are relative to the maximum, anywhere in the image, against a",
        "generalised Wiener filter in double precision.",
        "",
        f"{machine('torch', 'numpy', 'napari-sim-processor', *OPTIONAL)}.",
        *compared,
        *other_stacks(),
        "",
    ]
    publish("\n".join(lines), chosen.out)


if __name__ == "__main__":
    main()
