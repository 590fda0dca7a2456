"""Settings of the raw SIM simulation: one flat, frozen model."""

from __future__ import annotations

from typing import Any, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from napari_dps.core import Optics
from napari_dps.physics.camera import Camera
from napari_dps.physics.otf3d import axial_frequency_per_nm
from napari_dps.physics.phantoms import StructureId
from napari_dps.physics.phantoms.volumes import VOLUMES, VolumeId

_AUTO_SHARE_OF_CUTOFF = 0.9
"""Frequency of the finest stripes over the detection cut-off when none is given."""


def _field(
    default: Any, title: str, description: str, unit: str = "", **limits: Any
) -> Any:
    """Return a field with its unit where `core.params.describe` looks for it."""
    return Field(
        default=default,
        title=title,
        description=description,
        json_schema_extra={"unit": unit},
        **limits,
    )


class SimulationSettings(BaseModel):
    """What a simulated raw SIM stack looks like; every value a flat scalar.

    Examples
    --------
    >>> settings = SimulationSettings(phases=5)
    >>> settings.order_count, round(settings.first_order_period_nm, 1)
    (2, 416.7)
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    structure: Literal[StructureId, VolumeId] = _field(
        "microtubules",
        "Structure",
        "What is imaged; of several planes: filaments, shells, points or plane.",
    )
    separation_nm: float = _field(
        120.0, "Separation", "Within line pairs and point pairs.", "nm", gt=0, le=5000
    )
    height_px: int = _field(512, "Height", "Pixels along y.", "px", ge=16, le=4096)
    width_px: int = _field(512, "Width", "Pixels along x.", "px", ge=16, le=4096)
    planes: int = _field(
        1, "Planes", "Of a z-stack; 1: one thin plane.", "", ge=1, le=512
    )
    z_step_nm: float = _field(
        125.0, "Z step", "Distance of the planes.", "nm", ge=10, le=5000
    )
    beams: Literal["two", "three"] = _field(
        "two",
        "Beams",
        "Of the illumination of a z-stack: the first order of three beams is modulated "
        "along z as well.",
    )
    excitation_nm: float = _field(
        0.0,
        "Excitation wavelength",
        "In vacuum; 0: 0.9 × emission.",
        "nm",
        ge=0,
        le=2e3,
    )
    z_drift_nm: float = _field(
        0.0, "Z drift", "Of the sample from frame to frame.", "nm", ge=0, le=1000
    )
    na: float = _field(1.4, "NA", "Of the detection.", ge=0.05, le=1.8)
    emission_nm: float = _field(
        525.0, "Emission wavelength", "In vacuum.", "nm", ge=200, le=2000
    )
    refractive_index: float = _field(
        1.518, "Refractive index", "Of the immersion; above the NA.", ge=1, le=2
    )
    pixel_size_nm: float = _field(
        65.0, "Pixel size", "Camera pixel in the sample plane.", "nm", ge=1, le=10000
    )
    pattern: Literal["stripes", "hexagonal"] = _field(
        "stripes",
        "Pattern",
        "Stripes turned from angle to angle, or a hexagonal lattice (one angle).",
    )
    angles: int = _field(3, "Angles", "Directions of the stripes.", ge=1, le=12)
    phases: int = _field(3, "Phases", "Frames of each angle.", ge=3, le=25)
    orders: int = _field(
        0,
        "Orders",
        "Harmonics of the stripes; 0: two where there are five phases or more.",
        ge=0,
        le=2,
    )
    period_nm: float = _field(
        0.0,
        "Period",
        "Of the first order; 0: the finest order lies at 0.9 of the cut-off.",
        "nm",
        ge=0,
        le=100000,
    )
    first_angle_deg: float = _field(
        12.0,
        "First angle",
        "Wave vector of the first angle, x to y.",
        "°",
        ge=0,
        lt=180,
    )
    modulation: float = _field(
        0.6, "Modulation depth", "Of the first order, at the sample.", ge=0, le=4 / 3
    )
    second_modulation: float = _field(
        0.4, "Second modulation depth", "Of the second order.", ge=0, le=1
    )
    phase_error_deg: float = _field(
        0.0, "Phase error", "Standard deviation in each frame.", "°", ge=0, le=180
    )
    intensity_jitter: float = _field(
        0.0, "Intensity jitter", "Relative standard deviation of frames.", ge=0, le=0.5
    )
    bleaching: float = _field(
        0.0, "Bleaching", "Share of the signal lost from frame to frame.", ge=0, le=0.5
    )
    motion_nm: float = _field(
        0.0, "Motion", "Drift of the sample from frame to frame.", "nm", ge=0, le=1000
    )
    haze_fraction: float = _field(
        0.2, "Haze", "Share of out-of-focus light in the signal.", ge=0, le=0.95
    )
    haze_blur_nm: float = _field(
        400.0,
        "Haze blur",
        "Width (sigma) of the least blurred haze.",
        "nm",
        ge=50,
        le=1e5,
    )
    photons: float = _field(
        300.0,
        "Photons",
        "Expected in the bright pixels (99.9th percentile) of an evenly lit frame.",
        gt=0,
        le=1e6,
    )
    background_photons: float = _field(
        5.0, "Background", "Photons in every pixel of a frame.", ge=0, le=1e6
    )
    read_noise_e: float = _field(1.6, "Read noise", "Of a pixel.", "e-", ge=0, le=1000)
    row_noise_e: float = _field(
        0.0, "Row noise", "Shared by a row of an sCMOS.", "e-", ge=0, le=100
    )
    gain_counts_per_e: float = _field(
        2.0, "Gain", "Counts for an electron.", "counts/e-", gt=0, le=1000
    )
    offset_counts: float = _field(
        100.0, "Offset", "Counts without light.", "counts", ge=0, le=60000
    )
    oversampling: int = _field(
        4, "Oversampling", "Fine pixels along a camera pixel, even.", ge=2, le=16
    )
    seed: int = _field(0, "Seed", "Same seed, same stack.", ge=0, le=2**32 - 1)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.na >= self.refractive_index:
            raise ValueError(
                f"NA {self.na:g} must be below the refractive index "
                f"{self.refractive_index:g}"
            )
        if self.oversampling % 2:
            raise ValueError(f"oversampling {self.oversampling} must be even")
        if self.pattern == "hexagonal" and (self.angles != 1 or self.phases < 7):
            raise ValueError("a hexagonal pattern needs 1 angle and 7 phases or more")
        if self.phases < 2 * self.order_count + 1:
            raise ValueError(f"{self.order_count} orders need 2·orders + 1 phases")
        if (self.planes > 1) != (self.structure in VOLUMES):
            raise ValueError(
                f"{self.planes} planes of {self.structure}: a z-stack shows one of "
                f"{', '.join(VOLUMES)}, a plane one of the others"
            )
        if self.beams == "three" and (self.planes == 1 or self.order_count != 2):
            raise ValueError("three beams need a z-stack and two orders")
        if self._darkest < -1e-9:
            raise ValueError("these modulation depths make the illumination negative")
        return self

    @property
    def optics(self) -> Optics:
        """The detection, at the pixel size of the camera."""
        names = set(Optics.model_fields) & set(type(self).model_fields)
        return Optics(**self.model_dump(include=names))

    @property
    def camera(self) -> Camera:
        """The camera."""
        return Camera(**self.model_dump(include=set(Camera.model_fields)))

    @property
    def order_count(self) -> int:
        """Number of harmonics of the stripes."""
        if self.pattern == "hexagonal":
            return 1
        return self.orders or (2 if self.phases >= 5 else 1)

    @property
    def modulations(self) -> tuple[float, ...]:
        """Modulation depth of each order."""
        return (self.modulation, self.second_modulation)[: self.order_count]

    @property
    def first_order_period_nm(self) -> float:
        """Period of the first order."""
        finest_nm = self.optics.cutoff_period_nm / _AUTO_SHARE_OF_CUTOFF
        return self.period_nm or finest_nm * self.order_count

    @property
    def axial_per_nm(self) -> float:
        """Frequency kz0 at which the first order is modulated along z; 0: not."""
        if self.beams == "two":
            return 0.0
        return axial_frequency_per_nm(
            1 / self.first_order_period_nm,
            excitation_nm=self.optics.excitation_or_usual_nm,
            refractive_index=self.refractive_index,
        )

    @property
    def _darkest(self) -> float:
        """Smallest value of the illumination, whose mean is 1."""
        if self.pattern == "hexagonal":
            return 1 - 1.5 * self.modulation  # where the three cosines are −1/2
        phase = np.linspace(0, np.pi, 181)
        illumination = np.ones_like(phase)
        for order, modulation in enumerate(self.modulations, 1):
            illumination += modulation * np.cos(order * phase)
        return float(illumination.min())
