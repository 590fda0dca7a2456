"""Three-beam z-stacks in three dimensions: likeness, sharpness, robustness, cost.

    python benchmarks/three_beam.py [--seeds 3] [--out docs/benchmarks/three_beam.md]

Simulated stacks of 24 planes × 96², NA 1.4, 525 nm, z step 125 nm, patterns estimated.
r is the correlation with the truth through the ideal extended PSF (cosine apodisation),
without the two outermost planes and 8 px at the edges.
"""

from __future__ import annotations

import resource
import time
from dataclasses import replace

import numpy as np
import torch
from page import machine, options, publish, table
from stripe_power import stripe_index

from napari_dps import pipeline
from napari_dps.core import finish
from napari_dps.core.context import Context
from napari_dps.physics.beads import BeadSettings, measure_otf
from napari_dps.physics.measured_otf import ideal_like
from napari_dps.physics.measured_otf import likeness as otf_likeness
from napari_dps.physics.otf3d import cap_height_per_nm
from napari_dps.physics.psf3d import widefield_transfer
from napari_dps.physics.sim.volume import VolumeSolver
from napari_dps.physics.sim.wiener_weights import WienerSettings
from napari_dps.physics.simulate_settings import SimulationSettings
from napari_dps.physics.simulate_volume import simulate_emitters, simulate_volume
from napari_dps.stages.dps import STAGE as DPS
from napari_dps.stages.dps import DpsParameters
from napari_dps.stages.reconstruct import STAGE, ReconstructParameters

LIGHT = {
    "planes": 24,
    "height_px": 96,
    "width_px": 96,
    "pixel_size_nm": 80,
    "phases": 5,
    "beams": "three",
    "modulation": 4 / 3,
    "second_modulation": 2 / 3,
    "period_nm": 395,
    "haze_fraction": 0,
    "background_photons": 0,
    "read_noise_e": 0,
    "gain_counts_per_e": 10,
    "oversampling": 2,
}
SCENES = {
    "sparse": {"structure": "filaments"},
    "dense": {"structure": "filaments"},
    "haze": {"structure": "shells", "haze_fraction": 0.5},
}
SPARSE = 0.15
"""Objects of the sparse scene over those of the others: the median of an evenly lit
frame is a tenth of its bright pixels, in the dense one two fifths."""

ITERATIONS = (20, 40, 80, 160)
"""Of scikit-image's Richardson-Lucy."""


def made(scene, photons, seed, **changes):
    """Simulate a scene."""
    values = {**LIGHT, **SCENES[scene], "photons": photons, "seed": seed, **changes}
    density = SPARSE if scene == "sparse" else 1.0
    return simulate_volume(SimulationSettings(**values), density)


def counts(simulation):
    """Return the raw stack without the camera's offset, in photons."""
    settings = simulation.settings
    data = simulation.raw.data.astype(np.float32) - np.float32(settings.offset_counts)
    return simulation.raw.derive(data / np.float32(settings.gain_counts_per_e))


def exact_patterns(simulation):
    """Return the patterns of a simulation with their axial period."""
    axial = {"axial_period_nm": 1 / simulation.settings.axial_per_nm}
    return tuple(
        pattern.model_copy(
            update={
                "orders": (
                    pattern.orders[0].model_copy(update=axial),
                    *pattern.orders[1:],
                )
            }
        )
        for pattern in simulation.patterns
    )


def both(stack, patterns):
    """Reconstruct with patterns that are found, and with the exact ones."""
    parameters = ReconstructParameters()
    ready = finish(STAGE.prepare(stack, stack, parameters, Context()))
    return [
        finish(STAGE.run(one, parameters, Context()))
        for one in (ready, replace(ready, patterns=patterns))
    ]


def reconstruct(stack, dimension="auto"):
    """Run the stage, patterns included."""
    parameters = ReconstructParameters(dimension=dimension)
    return finish(STAGE.run(stack, parameters, Context()))


def ideal(simulation):
    """Return the truth as the apodised, extended PSF shows it."""
    settings = simulation.settings
    truth = np.pad(simulation.truth.data, ((8, 8), (16, 16), (16, 16)), mode="reflect")
    kz = np.fft.fftfreq(len(truth), settings.z_step_nm)
    f = np.fft.fftfreq(truth.shape[1], settings.pixel_size_nm / 2)
    radius = np.hypot(f[:, None], f)
    radius /= 1 / settings.optics.cutoff_period_nm + 2 / settings.first_order_period_nm
    height = np.abs(kz) / (cap_height_per_nm(settings.optics) + settings.axial_per_nm)
    fade = np.cos(np.pi / 2 * np.minimum(np.hypot(radius, height[:, None, None]), 1))
    return np.fft.ifftn(np.fft.fftn(truth) * fade).real[8:-8, 16:-16, 16:-16]


def likeness(image, truth):
    """Return r without the edges."""
    inside = (slice(1, -1), slice(8, -8), slice(8, -8))
    return float(np.corrcoef(image[inside].ravel(), truth[inside].ravel())[0, 1])


def wave_errors(found, exact):
    """Return the errors of the wave vectors in bins; None where none was found."""
    return [
        float(
            np.hypot(
                *np.subtract(
                    a.orders[0].wavevector_per_nm, b.orders[0].wavevector_per_nm
                )
            )
        )
        * 96
        * 80
        if a.is_usable
        else None
        for a, b in zip(found, exact, strict=True)
    ]


def denoised(stack):
    """Run `denoise` and the stage."""
    steps = pipeline.choose_steps(stack, ["denoise", "reconstruct"])
    return finish(pipeline.run(stack, steps)).images[-1]


def compared(scene, photons, seed):
    """Return the figures of one stack, a row of the table."""
    simulation = made(scene, photons, seed)
    stack, truth = counts(simulation), ideal(simulation)
    exact = exact_patterns(simulation)
    volume, known = both(stack, exact)
    part, part_known = both(stack.derive(stack.data[7:16]), exact)
    errors = wave_errors(volume.patterns, simulation.patterns)
    return (
        likeness(volume.data, truth),
        likeness(known.data, truth),
        likeness(reconstruct(stack, "2d").data, truth),
        likeness(denoised(stack).data, truth),
        likeness(part.data, truth[7:16]),
        likeness(part_known.data, truth[7:16]),
        likeness(denoised(stack.derive(stack.data[7:16])).data, truth[7:16]),
        stripe_index(volume.data, simulation.patterns, 40),
        stripe_index(truth, simulation.patterns, 40),
        sum(e is not None for e in errors),
        max((e for e in errors if e is not None), default=np.nan),
    )


def likenesses(seeds):
    """Return the table of both scenes at three levels of light."""
    rows = []
    for scene in SCENES:
        for photons in (5, 10, 50, 500):
            values = [compared(scene, photons, seed) for seed in range(seeds)]
            mean = np.mean(values, axis=0)
            found = int(sum(v[9] for v in values))
            row = [scene, str(photons), *(f"{v:.3f}" for v in mean[:7])]
            row += [f"{v:.2f}" for v in mean[7:9]]
            row += [f"{found} of {3 * seeds}", f"{max(v[10] for v in values):.3f}"]
            rows.append(row)
    header = ["scene", "photons", "3-D", "exact patterns", "plane by plane"]
    header += ["`denoise`, 3-D", "9 of 24 planes", "exact patterns", "`denoise`, 3-D"]
    header += ["stripe index", "of the truth"]
    header += ["angles", "worst k, bins"]
    return table(header, rows)


def width(profile, step_nm):
    """Return the full width at half maximum of a peak."""
    fine = 64
    smooth = np.fft.irfft(np.fft.rfft(profile), len(profile) * fine)
    peak = smooth.argmax()
    half = smooth[peak] / 2
    right, left = np.argmax(smooth[peak:] < half), np.argmax(smooth[peak::-1] < half)
    return (left + right - 1) * step_nm / fine


def without_noise(emitters):
    """Reconstruct an object (25, 192, 192) without noise, its patterns known."""
    settings = SimulationSettings(**{**LIGHT, "structure": "points", "photons": 2000})
    simulation = simulate_emitters(emitters, settings)
    solver = VolumeSolver(
        (25, 96, 96),
        exact_patterns(simulation),
        settings.optics,
        settings.z_step_nm,
        WienerSettings(
            wiener_parameter=1e-3, attenuation_strength=0.99, attenuation_width=0.15
        ),
    )
    return finish(solver.solve_steps(torch.from_numpy(simulation.clean)))


def sharpness(seeds):
    """Return lines on a point and an even plane; nothing of them is random."""
    point, plane = np.zeros((2, 25, 192, 192), np.float32)
    point[12, 96, 96] = 1
    plane[12] = 1
    image = without_noise(point)
    z, y, x = np.unravel_index(image.argmax(), image.shape)
    lateral = max(width(image[z, :, x], 40), width(image[z, y], 40))
    thickness = width(without_noise(plane).mean(axis=(1, 2)), 125)
    return (
        "Without noise, patterns known, full widths at half maximum: a point is "
        f"{lateral:.0f} nm wide and {width(image[:, y, x], 125):.0f} nm thick, an even "
        f"plane {thickness:.0f} nm."
    )


def robustness(seeds):
    """Return the table of what is told wrong."""
    changes = {
        "as it is": {},
        "z step + 10 %": {"z_step_nm": 137.5},
        "z step − 10 %": {"z_step_nm": 112.5},
        "emission + 20 nm": {"emission_nm": 545.0},
        "emission − 20 nm": {"emission_nm": 505.0},
        "excitation 445 nm": {"excitation_nm": 445.0},
        "excitation 510 nm": {"excitation_nm": 510.0},
        "NA 1.3": {"na": 1.3},
        "bleaching 50 %": {},
    }
    rows, right = [], 0.0
    for name, wrong in changes.items():
        values = []
        for seed in range(seeds):
            lost = {"bleaching": 0.0452} if name.startswith("bleaching") else {}
            simulation = made("sparse", 50, seed, **lost)
            stack = counts(simulation)
            optics = {k: v for k, v in wrong.items() if k != "z_step_nm"}
            stack = replace(
                stack,
                z_step_nm=wrong.get("z_step_nm", stack.z_step_nm),
                optics=stack.optics.model_copy(update=optics),
            )
            values.append(likeness(reconstruct(stack).data, ideal(simulation)))
        mean = float(np.mean(values))
        right = right or mean
        rows.append([name, f"{mean:.3f}", f"{mean - right:+.3f}"])
    return table(["told", "r", "change"], rows)


def camera_grid(volume):
    """Return the mean of 2 × 2 pixels of each plane."""
    planes, height, width = volume.shape
    blocks = volume.reshape(planes, height // 2, 2, width // 2, 2)
    return blocks.mean(axis=(2, 4))


def deconvolved(seeds):
    """Return the table of widefield stacks deconvolved in 3-D, beside scikit-image.

    It is given the same PSF, and the stack mirrored by 8 voxels at all ends.
    """
    from skimage.restoration import richardson_lucy

    rows = []
    for scene in SCENES:
        ours, flat, peer = [], [], {}
        for seed in range(seeds):
            simulation = made(scene, 500, seed)
            truth = camera_grid(ideal(simulation))
            rng = np.random.default_rng(seed)
            even = rng.poisson(simulation.clean.mean(axis=(1, 2))).astype(np.float32)
            stack = simulation.raw.derive(even, axes="ZYX")
            for found, dimension in ((ours, "3d"), (flat, "2d")):
                found.append(coarse_likeness(sharpened(stack, dimension), truth))
            psf = widefield_psf(simulation.settings)
            padded = np.pad(even / even.max(), 8, mode="reflect")
            for count in ITERATIONS:
                image = richardson_lucy(padded, psf, num_iter=count, clip=False)
                peer.setdefault(count, []).append(
                    coarse_likeness(image[8:-8, 8:-8, 8:-8], truth)
                )
        best = max(peer, key=lambda count: np.mean(peer[count]))
        row = [scene, f"{np.mean(ours):.3f}", f"{np.mean(flat):.3f}"]
        rows.append([*row, f"{np.mean(peer[best]):.3f}", str(best)])
    header = ["scene", "`rl` in 3-D", "plane by plane", "scikit-image", "iterations"]
    return table(header, rows)


def told_by_the_truth(seeds):
    """Return the table of what the best gain of each ring of (kr, kz) would give."""
    rows = []
    for scene in ("sparse", "haze"):
        for photons in (5, 50):
            values = []
            for seed in range(seeds):
                simulation = made(scene, photons, seed)
                truth, stack = ideal(simulation), counts(simulation)
                image = both(stack, exact_patterns(simulation))[1].data
                best = with_best_gains(image, truth)
                values.append((likeness(image, truth), likeness(best, truth)))
            mean = np.mean(values, axis=0)
            rows.append([scene, str(photons), *(f"{r:.3f}" for r in mean)])
    return table(["scene", "photons", "as it is", "best gains"], rows)


def with_best_gains(image, truth):
    """Multiply the rings of an image's spectrum so that it is nearest to the truth."""
    spectrum, goal = (np.fft.fftn(v - v.mean()) for v in (image, truth))
    z, y, x = (np.rint(np.fft.fftfreq(n) * n).astype(int) for n in image.shape)
    ring = np.rint(np.hypot(y[:, None], x)).astype(int)
    ring = (ring + (ring.max() + 1) * np.abs(z)[:, None, None]).ravel()
    common = np.bincount(ring, (spectrum * goal.conj()).real.ravel())
    power = np.bincount(ring, (np.abs(spectrum) ** 2).ravel())
    gain = common / np.maximum(power, 1e-30)
    return np.fft.ifftn(spectrum * gain[ring].reshape(image.shape)).real


def networks(seeds):
    """Return the table of the network and of Richardson-Lucy on small volumes.

    Likeness and NRMSE on the camera's grid, of 12 planes × 64²; the reconstructions
    are made with exact patterns.
    """
    ways = (("rl", "3d"), ("network", "2d"), ("network", "3d"))
    rows = []
    for kind in ("widefield", "3-D SIM"):
        for scene in ("dense", "haze"):
            for photons in (10, 200):
                values = []
                for seed in range(seeds):
                    small = {"planes": 12, "height_px": 64, "width_px": 64}
                    simulation = made(scene, photons, seed, **small)
                    truth = camera_grid(ideal(simulation))
                    stack = counts(simulation)
                    if kind == "widefield":
                        even = simulation.clean.mean(axis=(1, 2))
                        drawn = np.random.default_rng(seed).poisson(even)
                        stack = stack.derive(drawn.astype(np.float32), axes="ZYX")
                    else:
                        stack = both(stack, exact_patterns(simulation))[1]
                    found = [sharpened(stack, way[1], way[0]) for way in ways]
                    if kind != "widefield":
                        found = [camera_grid(image) for image in found]
                        found.insert(0, camera_grid(stack.data))
                    else:
                        found.insert(0, stack.data)
                    values.append(
                        [(coarse_likeness(i, truth), error(i, truth)) for i in found]
                    )
                means = np.mean(values, axis=0)
                cells = [f"{r:.3f} / {nrmse:.3f}" for r, nrmse in means]
                rows.append([kind, scene, str(photons), *cells])
    header = ["stack", "scene", "photons", "as it is", "`rl` in 3-D"]
    header += ["network, planes", "network in 3-D"]
    return table(header, rows)


def error(image, truth):
    """Return the NRMSE without the edges, gain and offset fitted."""
    inside = (slice(1, -1), slice(8, -8), slice(8, -8))
    a, b = image[inside].ravel(), truth[inside].ravel()
    slope, offset = np.polyfit(a, b, 1)
    return float(np.linalg.norm(slope * a + offset - b) / np.linalg.norm(b))


def coarse_likeness(image, truth):
    """Return r on the grid of the camera, without the edges."""
    inside = (slice(1, -1), slice(8, -8), slice(8, -8))
    return float(np.corrcoef(image[inside].ravel(), truth[inside].ravel())[0, 1])


def sharpened(stack, dimension, method="rl"):
    """Run `dps`; return its result on the grid of its input."""
    parameters = DpsParameters(method=method, dimension=dimension)
    if dimension == "3d":
        return camera_grid(finish(DPS.run(stack, parameters, Context())).data)
    planes = [stack.derive(plane, axes="YX") for plane in stack.data]
    images = [finish(DPS.run(p, parameters, Context())).data for p in planes]
    return camera_grid(np.stack(images))


def widefield_psf(settings):
    """Return the PSF on 47 × 95² voxels of the camera's grid."""
    found = widefield_transfer(settings.optics, settings.z_step_nm)(47)
    f = np.fft.fftfreq(95, settings.pixel_size_nm)
    place = np.hypot(f[:, None], f) / found.cutoff_per_nm
    grid = np.linspace(0, 1, len(found.values))
    otf = [np.interp(place, grid, column, right=0) for column in found.values.T]
    psf = np.maximum(np.fft.fftshift(np.fft.ifftn(np.stack(otf)).real), 0)
    return psf / psf.sum()


def beads():
    """Return a line on the OTF of a simulated bead of 100 nm."""
    fine = 4
    settings = SimulationSettings(
        **{
            **LIGHT,
            "structure": "points",
            "planes": 64,
            "photons": 125,
            "oversampling": fine,
        }
    )
    side = 96 * fine
    y, x = np.mgrid[:side, :side] * settings.pixel_size_nm / fine
    square = (y - y[side // 2, 0]) ** 2 + (x - x[0, side // 2 + 1]) ** 2
    emitters = np.zeros((64, side, side), np.float32)
    emitters[32] = np.sqrt(np.maximum(50.0**2 - square, 0))
    simulation = simulate_emitters(emitters, settings)
    peak = simulation.clean.mean(axis=(1, 2)).max()
    otf, _ = measure_otf(
        counts(simulation).data,
        settings.optics,
        settings.z_step_nm,
        BeadSettings(100.0, settings.period_nm),
    )
    found = otf_likeness(otf, ideal_like(otf, settings.optics, settings.axial_per_nm))
    orders = ", ".join(f"{r:.4f}" for r in found)
    return (
        f"A bead of 100 nm, {peak:.0f} photons in the peak of an evenly lit frame: "
        f"r of the measured OTF with the ideal one {orders} (orders 0, 1, 2; kr from "
        "the third step on)."
    )


def cost():
    """Return a line on time and memory of a large stack."""
    small = counts(made("sparse", 50, 0, planes=32))
    data = np.tile(small.data, (1, 1, 1, 6, 6))[..., :512, :512]
    patterns = reconstruct(small).patterns
    stack = replace(small.derive(np.ascontiguousarray(data)), patterns=patterns)
    del data  # it is no part of the work
    ready = finish(STAGE.prepare(small, small, ReconstructParameters(), Context()))
    started = time.process_time()
    reconstruct(replace(stack, noise=ready.noise))
    seconds = time.process_time() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    return (
        f"512² × 32 planes × 15 frames with known patterns: {seconds:.1f} CPU seconds, "
        f"{peak:.1f} GB at the peak of the process, one thread."
    )


SECTIONS = {
    "Likeness": likenesses,
    "Sharpness": sharpness,
    "Told wrong (sparse, 50 photons)": robustness,
    "Widefield stacks, 500 photons, `dps` by Richardson–Lucy": deconvolved,
    "Best gain of each ring of (kr, kz), told by the truth": told_by_the_truth,
    "Network and Richardson–Lucy": networks,
    "Measured OTF": lambda seeds: beads(),
    "Cost": lambda seeds: cost(),
}
"""Titles, and what is measured with a number of seeds."""


def main() -> None:
    """Run the benchmark."""
    parser = options(__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--section", help="the first word of one title: run that alone")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    lines = [
        "# Three-beam stacks in three dimensions",
        "",
        "`python benchmarks/three_beam.py --out docs/benchmarks/three_beam.md`",
        "",
        "Simulated stacks, 24 planes × 96², 3 angles × 5 phases, NA 1.4, 525 nm,",
        "pixels of 80 nm, z step 125 nm, second order at .95 of the cut-off;",
        f"{chosen.seeds} seeds. Photons: in the bright pixels (99.9th percentile) of",
        "an evenly lit frame, shot noise alone. r: correlation with the truth through",
        "the ideal extended PSF, without the outermost planes and 8 px; patterns",
        "estimated.",
        "Sparse: filaments, the median of a frame is a tenth of its bright pixels;",
        "dense: two fifths. Haze: shells, and half of all light is in no plane.",
        "Stripe index: power at k or 2 k, planes summed, over the median of its ring.",
        "",
        machine("torch", "numpy", "scipy"),
        "",
    ]
    for title, measure in SECTIONS.items():
        if chosen.section in (None, title.split()[0].strip("`")):
            lines += [f"## {title}", "", measure(chosen.seeds), ""]
    publish("\n".join(lines), chosen.out)


if __name__ == "__main__":
    main()
