"""The peer napari-sim-processor, without its widgets, which want Qt at import."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import sys
import types
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import fourier_shift

from napari_dps.core import Optics, Pattern

Array = NDArray[np.floating]


def use_one_thread() -> None:
    """Keep everything that the peer may use to one thread."""
    torch.set_num_threads(1)
    with contextlib.suppress(ImportError):
        import cv2

        cv2.setNumThreads(1)
    with contextlib.suppress(ImportError):
        import pyfftw

        pyfftw.config.NUM_THREADS = 1


def peer_processor(optics: Optics, angles: int = 3, phases: int = 3) -> Any:
    """Return a ``ConvSimProcessor`` of the installed napari-sim-processor."""
    name = "napari_sim_processor"
    if name not in sys.modules:
        spec = importlib.util.find_spec(name)
        if spec is None or spec.submodule_search_locations is None:
            raise SystemExit("pip install --no-deps -r benchmarks/requirements.txt")
        package = types.ModuleType(name)
        package.__path__ = list(spec.submodule_search_locations)
        sys.modules[name] = package
    from napari_sim_processor.processors.convSimProcessor import ConvSimProcessor

    with contextlib.redirect_stdout(io.StringIO()):
        processor = ConvSimProcessor(angles, phases)
    use_one_thread()
    processor.debug = False
    processor.NA, processor.wavelength = optics.na, optics.emission_nm / 1000
    processor.pixelsize, processor.magnification = optics.pixel_size_nm / 1000, 1.0
    return processor


def peer_with(patterns: tuple[Pattern, ...], frames: Array, optics: Optics) -> Any:
    """Return the peer's processor, calibrated to patterns that we name.

    Its phases step by +120°, count from the centre of the image and have the other
    sign; its wave vectors are in units of NA/λ.
    """
    peer = peer_processor(optics, *frames.shape[:2])
    unit_per_nm = optics.na / optics.emission_nm
    centre = np.array(frames.shape[-2:]) / 2 * optics.pixel_size_nm
    carriers = []
    for pattern in patterns:
        k = np.array(pattern.orders[0].wavevector_per_nm)
        first, second = np.radians(pattern.phases_deg[:2])
        sign = -1 if np.sin(second - first) > 0 else 1
        phase = sign * (first + 2 * np.pi * k @ centre)
        k_y, k_x = sign * k / unit_per_nm
        carriers.append((k_x, k_y, phase, pattern.modulation))
    answers = iter(carriers)
    peer._refineCarrier = lambda *_: next(answers)
    peer.calibrate(frames.reshape(-1, *frames.shape[-2:]), findCarrier=False)
    return peer


def on_our_grid(image: Array) -> Array:
    """Move an image of the peer, whose pixels lie half an output pixel further."""
    return np.fft.ifft2(fourier_shift(np.fft.fft2(image), (0.5, 0.5))).real
