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

from napari_dps.core import InputError, finish
from napari_dps.core.context import Context
from napari_dps.physics.otf3d import cap_height_per_nm
from napari_dps.physics.simulate_settings import SimulationSettings
from napari_dps.physics.simulate_volume import simulate_emitters, simulate_volume
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


def reconstruct(stack, dimension="auto"):
    """Run the stage, patterns included."""
    parameters = ReconstructParameters(dimension=dimension)
    if dimension != "2d":
        return finish(STAGE.run(stack, parameters, Context()))
    planes = [stack.derive(data, axes="APYX") for data in stack.data]
    context = Context(planes=len(planes))
    known = finish(
        STAGE.prepare(
            stack.derive(stack.data.mean(axis=0), axes="APYX"),
            planes[len(planes) // 2],
            parameters,
            context,
        )
    )
    images = [
        finish(STAGE.run(replace(p, patterns=known.patterns), parameters, Context()))
        for p in planes
    ]
    return replace(images[0], data=np.stack([i.data for i in images]), axes="ZYX")


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


def stripe_index(volume, patterns, pixel_nm):
    """Return the largest power at k or 2 k over the median of its ring.

    The power is the sum over planes, and the mean over the angles.
    """
    window = np.hanning(volume.shape[1])[:, None] * np.hanning(volume.shape[2])
    flat = volume - volume.mean(axis=(1, 2), keepdims=True)
    power = (np.abs(np.fft.fft2(flat * window)) ** 2).sum(axis=0)
    f = [np.fft.fftfreq(n, pixel_nm) for n in power.shape]
    radius = np.hypot(f[0][:, None], f[1])
    ratios = {1: [], 2: []}
    for pattern in patterns:
        for order in pattern.orders:
            y, x = order.wavevector_per_nm
            ring = np.abs(radius - np.hypot(y, x)) < 1.5 * f[0][1]
            near = np.abs(f[0] - y).argmin(), np.abs(f[1] - x).argmin()
            ratios[order.order].append(power[near] / np.median(power[ring]))
    return max(float(np.mean(values)) for values in ratios.values())


def by_planes(stack, truth):
    """Return r of the planes one by one; 0 where their patterns are of no use."""
    try:
        return likeness(reconstruct(stack, "2d").data, truth)
    except InputError as error:
        print(f"plane by plane: {error}")
        return 0.0


def likenesses(seeds):
    """Return the table of both scenes at three levels of light."""
    rows = []
    for scene in SCENES:
        for photons in (5, 10, 50, 500):
            values = []
            for seed in range(seeds):
                simulation = made(scene, photons, seed)
                stack, truth = counts(simulation), ideal(simulation)
                volume = reconstruct(stack)
                part = stack.derive(stack.data[7:16])
                errors = wave_errors(volume.patterns, simulation.patterns)
                values.append(
                    (
                        likeness(volume.data, truth),
                        by_planes(stack, truth),
                        likeness(reconstruct(part).data, truth[7:16]),
                        stripe_index(volume.data, simulation.patterns, 40),
                        stripe_index(truth, simulation.patterns, 40),
                        sum(e is not None for e in errors),
                        max((e for e in errors if e is not None), default=np.nan),
                    )
                )
            mean = np.mean(values, axis=0)
            found = int(sum(v[5] for v in values))
            row = [scene, str(photons), *(f"{v:.3f}" for v in mean[:3])]
            row += [f"{v:.2f}" for v in mean[3:5]]
            row += [f"{found} of {3 * seeds}", f"{max(v[6] for v in values):.3f}"]
            rows.append(row)
    header = ["scene", "photons", "3-D", "plane by plane", "9 of 24 planes"]
    header += ["stripe index", "of the truth", "angles", "worst k, bins"]
    return table(header, rows)


def width(profile, step_nm):
    """Return the full width at half maximum of a peak."""
    fine = 64
    smooth = np.fft.irfft(np.fft.rfft(profile), len(profile) * fine)
    peak = smooth.argmax()
    half = smooth[peak] / 2
    right, left = np.argmax(smooth[peak:] < half), np.argmax(smooth[peak::-1] < half)
    return (left + right - 1) * step_nm / fine


def sharpness():
    """Return a line on a point without noise."""
    settings = SimulationSettings(**{**LIGHT, "structure": "points", "photons": 2000})
    emitters = np.zeros((25, 192, 192), np.float32)
    emitters[12, 96, 96] = 1
    simulation = simulate_emitters(emitters, settings)
    stack = simulation.raw.derive(simulation.clean)
    # A point alone hardly shows its stripes: they are those of the simulation.
    known = [pattern.only_wave_vectors() for pattern in simulation.patterns]
    stack = replace(stack, patterns=tuple(known))
    image = reconstruct(stack).data
    z, y, x = np.unravel_index(image.argmax(), image.shape)
    lateral = max(width(image[z, :, x], 40), width(image[z, y], 40))
    return (
        f"A point is {lateral:.0f} nm wide and {width(image[:, y, x], 125):.0f} nm "
        "thick (full widths at half maximum)."
    )


def robustness(seeds):
    """Return the table of what is told wrong."""
    changes = {
        "as it is": {},
        "z step + 10 %": {"z_step_nm": 137.5},
        "z step − 10 %": {"z_step_nm": 112.5},
        "emission + 20 nm": {"emission_nm": 545.0},
        "excitation 445 nm": {"excitation_nm": 445.0},
        "excitation 510 nm": {"excitation_nm": 510.0},
        "NA 1.3": {"na": 1.3},
        "bleaching 50 %": {},
    }
    rows = []
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
        rows.append([name, f"{np.mean(values):.3f}"])
    return table(["told", "r"], rows)


def cost():
    """Return a line on time and memory of a large stack."""
    small = counts(made("sparse", 50, 0, planes=32))
    data = np.tile(small.data, (1, 1, 1, 6, 6))[..., :512, :512]
    patterns = reconstruct(small).patterns
    stack = replace(small.derive(np.ascontiguousarray(data)), patterns=patterns)
    ready = finish(STAGE.prepare(small, small, ReconstructParameters(), Context()))
    started = time.process_time()
    reconstruct(replace(stack, noise=ready.noise))
    seconds = time.process_time() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    return (
        f"512² × 32 planes × 15 frames with known patterns: {seconds:.1f} CPU seconds, "
        f"{peak:.1f} GB at the peak of the process, one thread."
    )


def main() -> None:
    """Run the benchmark."""
    parser = options(__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    lines = [
        "# Three-beam stacks in three dimensions",
        "",
        "`python benchmarks/three_beam.py --out docs/benchmarks/three_beam.md`",
        "",
        "Simulated stacks, 24 planes × 96², 3 angles × 5 phases, NA 1.4, 525 nm,",
        "pixels of 80 nm, z step 125 nm, second order at .95 of the cut-off;",
        f"{chosen.seeds} seeds. Photons: in the bright pixels of an evenly lit frame,",
        "shot noise alone. r: correlation with the truth through the ideal extended",
        "PSF; patterns estimated. Haze: half of all light is in no plane.",
        "Stripe index: power at k or 2 k, planes summed, over the median of its ring.",
        "",
        machine("torch", "numpy", "scipy"),
        "",
        likenesses(chosen.seeds),
        "",
        sharpness(),
        "",
        "## Told wrong (sparse, 50 photons)",
        "",
        robustness(chosen.seeds),
        "",
        "## Cost",
        "",
        cost(),
        "",
    ]
    publish("\n".join(lines), chosen.out)


if __name__ == "__main__":
    main()
