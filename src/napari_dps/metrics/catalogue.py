"""Every metric, once, in the order of a report; `METRICS` is the one list of them.

Reports, the tables of a batch, of the demo and of the dock Compare, and the
documentation follow from it.
"""

from __future__ import annotations

from functools import partial

from napari_dps.metrics import reference as likeness
from napari_dps.metrics.metric import Metric, Source, Table
from napari_dps.metrics.quantities import (
    axial_resolution_nm,
    decorrelation_px,
    length_metrics,
    of_white_noise,
    psnr_radial_gain_db,
    raw_check,
    rsf_sigma_nm,
)
from napari_dps.metrics.snr import peak_to_noise, snr_reference_db

_SKIMAGE = Source("scikit-image")
_BALL = Source("Ball et al. 2015", "10.1038/srep15915")
_DESCLOUX = Source("Descloux et al. 2019", "10.1038/s41592-019-0515-7")
_KOHO = Source("Koho et al. 2019", "10.1038/s41467-019-11024-z")
_GUIZAR = Source("Guizar-Sicairos et al. 2008", "10.1364/OL.33.000156")
_WANG = Source("Wang et al. 2004", "10.1109/TIP.2003.819861")
_RING_PAIR = (
    Source("van Heel & Schatz 2005", "10.1016/j.jsb.2005.05.009"),
    Source("Nieuwenhuizen et al. 2013", "10.1038/nmeth.2448"),
)
_CULLEY = Source("Culley et al. 2018", "10.1038/nmeth.4605")

_of_frames = partial(Metric, needs=("raw frames",))
_of_pair = partial(Metric, needs=("reference",))

_STRIPES = (
    _of_frames(
        "mcnr",
        "MCNR",
        "modulation contrast-to-noise ratio: 3 or less inadequate, 6 acceptable, "
        "12 good",
        lambda subject: subject.stripes[0].mean,
        direction="larger",
        digits=2,
        sources=(_BALL,),
    ),
    _of_frames(
        "mcnr_per_angle",
        "MCNR of each angle",
        "the same for the frames of each angle",
        lambda subject: list(subject.stripes[0].per_angle),
        direction="larger",
        digits=2,
        sources=(_BALL,),
    ),
    _of_frames(
        "angle_variation_percent",
        "Variation over the angles",
        "(max − min)/max of the angles' intensities; above 30 expect artefacts",
        raw_check("angle_variation_percent", "no intensity above zero"),
        unit="%",
        direction="smaller",
        digits=1,
        sources=(_BALL,),
    ),
    _of_frames(
        "phase_variation_percent",
        "Variation over the phases",
        "the same over the phases, worst angle",
        raw_check("phase_variation_percent", "no intensity above zero"),
        unit="%",
        direction="smaller",
        digits=1,
        sources=(_BALL,),
    ),
    _of_frames(
        "saturated_percent",
        "Saturated pixels",
        "pixels at full scale; integers only, unless the level is given",
        raw_check("saturated_percent", "saturation level not known"),
        unit="%",
        direction="smaller",
        digits=2,
    ),
)

_ALONE = (
    Metric(
        "minimum",
        "Minimum",
        "smallest pixel value",
        lambda subject: float(subject.pixels.min()),
        unit="counts",
        digits=1,
    ),
    Metric(
        "maximum",
        "Maximum",
        "largest pixel value",
        lambda subject: float(subject.pixels.max()),
        unit="counts",
        digits=1,
    ),
    Metric(
        "mean",
        "Mean",
        "mean of the pixel values",
        lambda subject: float(subject.pixels.mean(dtype="float64")),
        unit="counts",
        digits=1,
    ),
    Metric(
        "noise_is_white",
        "White noise",
        "whether the noise looks like a raw camera frame's: no resampling, filtering, "
        "reconstruction (measured, see below)",
        lambda subject: subject.has_white_noise,
    ),
    Metric(
        "noise_std",
        "Noise",
        "standard deviation of the noise; beyond the OTF when the optics are known",
        of_white_noise(lambda subject: subject.noise),
        unit="counts",
        digits=2,
        sources=(Source("Immerkær 1996", "10.1006/cviu.1996.0060"),),
    ),
    Metric(
        "peak_to_noise",
        "Peak to noise",
        "(99.9th percentile − median)/σ_noise",
        of_white_noise(lambda subject: peak_to_noise(subject.pixels, subject.noise)),
        digits=1,
    ),
    Metric(
        "snr_db",
        "SNR",
        "signal over noise of the image alone: 20·log₁₀ √(σ²_image − σ²_noise)/σ_noise",
        of_white_noise(lambda subject: subject.snr_db),
        unit="dB",
        digits=2,
        tables=("batch", "compare"),
    ),
    Metric(
        "decorrelation_amplitude",
        "Decorrelation amplitude",
        "A₀, height of the unfiltered curve's maximum, 0 to 1; rises with the SNR",
        lambda subject: subject.decorrelation.amplitude,
        digits=3,
        sources=(_DESCLOUX,),
    ),
    *length_metrics(
        "resolution_decorrelation",
        decorrelation_px,
        lambda subject: subject.image.pixel_size_nm,
        title="Decorrelation",
        meaning="period of the finest structure above the noise, by decorrelation "
        "analysis of the image alone; smaller is finer",
        tables=("batch", "demo", "compare"),
        sources=(_DESCLOUX,),
    ),
    Metric(
        "resolution_z_decorrelation_nm",
        "Decorrelation in z",
        "the same along z, of a z-stack of 8 planes or more whose z step is known",
        axial_resolution_nm,
        unit="nm",
        digits=0,
        needs=("volume",),
        tables=("batch", "compare"),
        sources=(_DESCLOUX,),
    ),
    *length_metrics(
        "resolution_frc",
        lambda subject: (subject.rings.resolution_px, subject.rings.note),
        lambda subject: subject.image.pixel_size_nm,
        title="FRC resolution",
        meaning="period at which two exposures like this one would correlate by 1/7",
        sources=(_KOHO,),
    ),
)

_PAIR = (
    _of_pair(
        "shift_y_px",
        "Shift in y",
        "displacement of the image from the reference",
        lambda subject: subject.shift_px[0],
        unit="px",
        digits=2,
        sources=(_GUIZAR,),
    ),
    _of_pair(
        "shift_x_px",
        "Shift in x",
        "displacement of the image from the reference",
        lambda subject: subject.shift_px[1],
        unit="px",
        digits=2,
        sources=(_GUIZAR,),
    ),
    _of_pair(
        "psnr_db",
        "PSNR",
        "10·log₁₀(range²/MSE), range = maximum − minimum of the reference",
        lambda subject: likeness.psnr_db(subject.fitted, subject.compared[1]),
        unit="dB",
        direction="larger",
        digits=2,
        tables=("demo", "compare"),
        sources=(_SKIMAGE,),
    ),
    _of_pair(
        "ssim",
        "SSIM",
        "mean structural similarity, up to 1; Gaussian window σ = 1.5 px",
        lambda subject: likeness.ssim(subject.fitted, subject.compared[1]),
        direction="larger",
        tables=("demo", "compare"),
        sources=(_WANG, _SKIMAGE),
    ),
    _of_pair(
        "nrmse",
        "NRMSE",
        "root mean square error: ‖image − reference‖/‖reference‖",
        lambda subject: likeness.nrmse(subject.fitted, subject.compared[1]),
        direction="smaller",
        tables=("demo", "compare"),
        sources=(_SKIMAGE,),
    ),
    _of_pair(
        "pearson",
        "Pearson",
        "correlation coefficient of image and reference",
        lambda subject: likeness.pearson(*subject.compared),
        direction="larger",
        tables=("demo",),
    ),
    _of_pair(
        "snr_reference_db",
        "SNR ref.",
        "signal over what differs: 20·log₁₀(σ_reference/RMS error)",
        lambda subject: snr_reference_db(subject.fitted, subject.compared[1]),
        unit="dB",
        direction="larger",
        digits=2,
        tables=("compare",),
    ),
    _of_pair(
        "psnr_radial_gain_db",
        "PSNR after a radial gain",
        "PSNR after a radial gain fit (see below)",
        psnr_radial_gain_db,
        unit="dB",
        direction="larger",
        digits=2,
    ),
    *length_metrics(
        "resolution_frc_reference",
        lambda subject: (
            subject.rings_of_pair.resolution_px,
            subject.rings_of_pair.note,
        ),
        lambda subject: subject.reference_pixel_nm,
        title="FRC resolution ref.",
        meaning="period down to which image and reference correlate by 1/7",
        direction="smaller",
        needs=("reference",),
        sources=_RING_PAIR,
    ),
    _of_pair(
        "rsp",
        "RSP",
        "resolution-scaled Pearson coefficient, the reference taken for the widefield "
        "image",
        lambda subject: subject.error_map.rsp,
        direction="larger",
        tables=("compare",),
        sources=(_CULLEY,),
    ),
    _of_pair(
        "rse",
        "RSE",
        "resolution-scaled error, RMS, in the reference's counts",
        lambda subject: subject.error_map.rse,
        unit="counts",
        direction="smaller",
        digits=3,
        tables=("compare",),
        sources=(_CULLEY,),
    ),
    _of_pair(
        "rsf_sigma_px",
        "Blur between the two",
        "standard deviation of the Gaussian blur between the two",
        lambda subject: subject.error_map.rsf_sigma_px,
        unit="px",
        digits=1,
        sources=(_CULLEY,),
    ),
    _of_pair(
        "rsf_sigma_nm",
        "Blur between the two",
        "standard deviation of the Gaussian blur between the two",
        rsf_sigma_nm,
        unit="nm",
        digits=0,
        needs=("reference", "pixel size"),
        sources=(_CULLEY,),
    ),
)

METRICS: tuple[Metric, ...] = (*_STRIPES, *_ALONE, *_PAIR)


def metrics_of(table: Table) -> list[Metric]:
    """Return the metrics that a table shows, those against a reference first.

    Examples
    --------
    >>> [metric.column for metric in metrics_of("batch")]
    ['snr_db', 'decorrelation_nm', 'decorrelation_in_z_nm']
    """
    shown = [metric for metric in METRICS if table in metric.tables]
    return sorted(shown, key=lambda metric: "reference" not in metric.needs)
