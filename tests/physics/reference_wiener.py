"""The generalised Wiener filter as one would write it on paper: slow, full plane.

Complex orders, complex128, every band on the whole 2× plane; shares no code with the
solver but the OTF. Used by tests and by the benchmark.
"""

from __future__ import annotations

import math

import numpy as np
import scipy.fft

from napari_dps.physics.otf import widefield_otf

PADDING_PX = 14


def _extended(image, axis):
    """Reflect both ends of an axis and cross-fade them, so that it is periodic."""
    image = np.moveaxis(image, axis, -1)
    length = image.shape[-1]
    size = scipy.fft.next_fast_len(length + 2 * PADDING_PX, real=True)
    added = size - length
    mirrored = np.pad(image, [(0, 0), (added, added)], mode="reflect")
    fade = np.sin(np.pi / 2 * (np.arange(added) + 0.5) / added) ** 2
    ends = mirrored[..., -added:] * (1 - fade) + mirrored[..., :added] * fade
    return np.moveaxis(np.concatenate([image, ends], -1), -1, axis)


def _orders(frames, patterns, pixel_size_nm):
    """Return [(k, c, image)] of all bands, negative ones included."""
    bands = []
    for angle in range(len(frames)):
        waves = [
            (
                np.array(order.wavevector_per_nm) * pixel_size_nm,
                order.modulation / 2,
                order.order * np.radians(pattern.phases_deg)
                + math.radians(order.offset_deg),
                order.is_usable,
            )
            for pattern in patterns
            if pattern.angle_index == angle
            for order in pattern.orders
        ]
        if not any(usable for *_, usable in waves):
            bands.append((np.zeros(2), 1.0, frames[angle].mean(0)))
            continue
        columns = [np.ones(frames.shape[1])]
        for _, _, phases, _ in waves:
            columns += [np.exp(1j * phases), np.exp(-1j * phases)]
        inverse = np.linalg.pinv(np.stack(columns, 1))
        images = np.tensordot(inverse, frames[angle], 1)
        bands.append((np.zeros(2), 1.0, images[0]))
        for index, (k, c, _, usable) in enumerate(waves):
            if usable:
                bands.append((k, c, images[1 + 2 * index]))
                bands.append((-k, c, images[2 + 2 * index]))
    return bands


def reference_wiener(frames, patterns, optics, settings):
    """Return the reconstruction (2 Y, 2 X), float64, of frames (A, P, Y, X)."""
    shape = frames.shape[-2:]
    cutoff = optics.cutoff_per_pixel
    frames = np.asarray(frames, dtype=np.float64)
    size = [scipy.fft.next_fast_len(n + 2 * PADDING_PX, real=True) for n in shape]
    bins = [np.fft.fftfreq(2 * n, 1 / (2 * n)).round().astype(int) for n in size]
    q = np.meshgrid(bins[0] / size[0], bins[1] / size[1], indexing="ij")
    y, x = np.ogrid[: shape[0], : shape[1]]
    bands = _orders(frames, patterns, optics.pixel_size_nm)
    numerator = np.zeros(q[0].shape, complex)
    power, trusted = np.zeros(q[0].shape), np.zeros(q[0].shape)
    for k, c, image in bands:
        demodulated = image * np.exp(-2j * np.pi * (k[0] * y + k[1] * x))
        spectrum = np.fft.fft2(_extended(_extended(demodulated, 0), 1))
        spectrum = spectrum[np.ix_(bins[0] % size[0], bins[1] % size[1])]
        f = [q[axis] + k[axis] for axis in (0, 1)]
        held = np.ones(q[0].shape, bool)
        for axis in (0, 1):  # the highest bin of an even axis has no sign: dropped
            held &= np.abs(np.rint(f[axis] * size[axis])) <= (size[axis] - 1) // 2
        r = np.hypot(*f) / cutoff
        otf = np.where(held, widefield_otf(r, 1.0), 0)
        s, width = settings.attenuation_strength, settings.attenuation_width
        attenuation = 1 - s * np.exp(-((r / width) ** 2) / 2)
        if k.any():
            s, width = settings.notch_strength, settings.notch_width
            attenuation *= 1 - s * np.exp(-((r / width) ** 2) / 2)
        numerator += c * otf * attenuation * spectrum
        power += c**2 * otf**2
        trusted += c**2 * otf**2 * attenuation
    w = settings.noise_at_cutoff * (np.hypot(*q) / cutoff) ** settings.noise_exponent
    w = np.maximum(settings.wiener_parameter, w)
    estimate = np.where(trusted > 0, numerator / np.where(trusted > 0, trusted, 1), 0)
    spectrum = estimate * power / (power + w) * (1 + w[0, 0] / power[0, 0])
    reach = min(cutoff + max(np.hypot(*k) for k, _, _ in bands), 1.0)
    falling = np.minimum(np.hypot(*q) / reach, 1)
    spectrum *= {
        "cosine": np.cos(np.pi / 2 * falling),
        "triangle": 1 - falling,
        "none": np.ones_like(falling),
    }[settings.apodisation]
    spectrum[size[0]], spectrum[:, size[1]] = 0, 0
    # Output pixel i lies at i/2 − 1/4.
    spectrum *= np.exp(-0.5j * np.pi * (q[0] + q[1]))
    image = 4 * np.fft.ifft2(spectrum).real[: 2 * shape[0], : 2 * shape[1]]
    counts = np.mean([image.real.mean() for k, _, image in bands if not k.any()])
    return image + counts - image.mean()
