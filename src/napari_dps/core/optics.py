"""The microscope's optics, validated."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from napari_dps.core.params import FrozenModel, parse

EXCITATION_SHARE = 0.9
"""Wavelength of the excitation over that of the emission, where it is not known."""


class Optics(FrozenModel):
    """What the physics needs to know of the microscope.

    Distances are in the sample plane. Build it from untrusted values with
    ``params.parse(Optics, values, "optics")``, which raises `InputError`.

    Examples
    --------
    >>> optics = Optics(na=1.3, emission_nm=660, pixel_size_nm=65)
    >>> round(optics.cutoff_period_nm, 1)
    253.8
    """

    na: float = Field(
        title="NA",
        description="Numerical aperture of the detection.",
        ge=0.05,
        le=1.8,
        examples=[1.4],
    )
    emission_nm: float = Field(
        title="Emission wavelength",
        description="Wavelength of the fluorescence, in vacuum.",
        ge=200,
        le=2000,
        examples=[525],
        json_schema_extra={"unit": "nm"},
    )
    pixel_size_nm: float = Field(
        title="Pixel size",
        description="Edge of a pixel in the sample plane.",
        ge=1,
        le=10000,
        examples=[65],
        json_schema_extra={"unit": "nm"},
    )
    refractive_index: float = Field(
        default=1.518,
        title="Refractive index",
        description="Of the immersion medium; the NA must be below it.",
        ge=1.0,
        le=2.0,
    )
    excitation_nm: float = Field(
        default=0.0,
        title="Excitation wavelength",
        description="In vacuum, for three-beam stacks; 0: 0.9 times the emission.",
        ge=0,
        le=2000,
        json_schema_extra={"unit": "nm"},
    )
    modulation_factor: float = Field(
        default=1.0,
        title="Modulation factor",
        description="Effective NA over the NA: 1 is widefield, linear SIM gives up to "
        "2, below 1 the PSF is wider than the NA says.",
        ge=0.3,
        le=4.0,
    )

    @model_validator(mode="after")
    def _na_below_index(self) -> Self:
        if self.na >= self.refractive_index:
            raise ValueError(
                f"NA {self.na:g} must be below the refractive index "
                f"{self.refractive_index:g}"
            )
        return self

    @property
    def excitation_or_usual_nm(self) -> float:
        """Wavelength of the excitation, by `EXCITATION_SHARE` where it is not known."""
        return self.excitation_nm or EXCITATION_SHARE * self.emission_nm

    @property
    def cutoff_period_nm(self) -> float:
        """Finest period that the detection passes: λ/(2 NA), in nm."""
        return self.emission_nm / (2 * self.na)

    @property
    def cutoff_per_pixel(self) -> float:
        """Cut-off 2 NA/λ of the detection OTF, in cycles per pixel."""
        return self.pixel_size_nm / self.cutoff_period_nm

    def at_pixel_size(self, pixel_size_nm: float) -> Optics:
        """Return the same optics on another pixel grid.

        Raises
        ------
        InputError
            If the pixel size is out of its limits.
        """
        values = {**self.model_dump(), "pixel_size_nm": pixel_size_nm}
        return parse(Optics, values, "optics")

    def nyquist_warning(self) -> str | None:
        """Say when the pixels are too coarse for the optics, else return None.

        The effective cut-off 2·mf·NA/λ needs two pixels a period.
        """
        needed_nm = self.cutoff_period_nm / self.modulation_factor / 2
        if self.pixel_size_nm <= needed_nm:
            return None
        return (
            f"under-sampled: pixels of {self.pixel_size_nm:g} nm are larger than the "
            f"{needed_nm:.1f} nm that NA {self.na:g}, {self.emission_nm:g} nm and "
            f"modulation factor {self.modulation_factor:g} need"
        )
