"""Finding the illumination patterns: shared by the stages that take raw frames."""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import Field

from napari_dps.core import (
    ImageStack,
    Optics,
    Pattern,
    PatternOrder,
    Progress,
    StageParameters,
)
from napari_dps.core.context import Context
from napari_dps.core.patterns import UNUSABLE
from napari_dps.core.tiling import require_memory
from napari_dps.io import patterns_json
from napari_dps.methods.sim.known_orders import (
    confidence_of,
    known_by_angle,
    known_orders,
)

if TYPE_CHECKING:
    import torch

    from napari_dps.physics.sim.estimate import EstimationSettings
    from napari_dps.physics.sim.wave_series import SeriesFindings

PatternsEvery = Annotated[
    int,
    Field(
        ge=0,
        le=1_000_000,
        title="Patterns every",
        description="Find the patterns of a time-lapse anew after so many time points, "
        "on the average of the first ten of them and all z; 0: once for all.",
        json_schema_extra={"unit": "frames"},
    ),
]
"""Parameter of the stages that find patterns: how long those of a time-lapse last."""

PatternLayout = Annotated[
    Literal["auto", "linear", "hexagonal"],
    Field(
        title="Pattern layout",
        description="linear: stripes of one direction an angle. hexagonal: three "
        "directions at once, or two with 5 phases (a square lattice). auto: hexagonal "
        "for 7 phases at one angle, and for 5 where the frames show a square lattice.",
    ),
]
ShortestWavevector = Annotated[
    float,
    Field(
        ge=0.05,
        le=0.6,
        title="Shortest wave vector",
        description="Coarsest stripes looked for, as frequency over the detection "
        "cut-off.",
        json_schema_extra={"unit": "cut-offs"},
    ),
]
LongestWavevector = Annotated[
    float,
    Field(
        ge=0.7,
        le=1.3,
        title="Longest wave vector",
        description="Finest stripes looked for; TIRF-SIM reaches beyond the detection "
        "cut-off.",
        json_schema_extra={"unit": "cut-offs"},
    ),
]
"""Parameters of the stages that find patterns: what is looked for. A value that one
stage is given counts for all stages of a run."""

SEARCH_FIELDS = ("layout", "shortest_wavevector", "longest_wavevector")
"""The parameters of the search: the same in all stages of a run."""


def search_settings(
    parameters: StageParameters, *, planes: int = 1
) -> EstimationSettings:
    """Return how patterns are looked for, by the `SEARCH_FIELDS` of a stage.

    ``planes`` is the number of focal planes that the frames are a mean of.
    """
    from napari_dps.physics.sim.estimate import EstimationSettings

    layout, shortest, longest = (getattr(parameters, name) for name in SEARCH_FIELDS)
    return EstimationSettings(
        shortest=shortest, longest=longest, layout=layout, is_projection=planes > 1
    )


UNCERTAIN_DEG = 8.0
"""Phases less certain than this are not believed where others serve."""
TOLD_DEG = 5.0
"""Phases less certain than this are warned of: two of a hundred err by more than 8°
then, root mean square over three frames."""
BYTES_PER_PX, BYTES_PER_FRAME_PX = 140, 7
"""Memory at the peak of finding the patterns, for each pixel and for that of each
frame: in all 150 for 3, 200 for 9 and 205 to 225 for 15 frames were measured at 1024²
and 2048². All pixels decide where the stripes are."""


def report_patterns(image: ImageStack) -> dict[str, Any]:
    """Return the patterns of a stage's result, for its part of a report."""
    return {"patterns": patterns_json(image.patterns)}


def raw_frames(image: ImageStack, context: Context) -> torch.Tensor:
    """Return the frames as a float32 tensor on the device of the run."""
    import torch

    from napari_dps.core.device import resolve_device

    frames = np.array(image.data, dtype=np.float32)
    return torch.from_numpy(frames).to(resolve_device(context.device))


def are_fitted(image: ImageStack) -> bool:
    """Whether a stack carries patterns with phases, or knows that it has none."""
    return bool(image.patterns) and not any(
        pattern.is_usable and not pattern.phases_deg for pattern in image.patterns
    )


def find_patterns(
    frames: torch.Tensor,
    image: ImageStack,
    settings: EstimationSettings,
    context: Context,
    findings: SeriesFindings | None = None,
) -> Generator[Progress, None, tuple[Pattern, ...]]:
    """Find the patterns of one raw stack, or fit those it was given to it.

    Parameters
    ----------
    frames : tensor (A, P, Y, X), float32
        Raw frames, camera offset subtracted.
    image : ImageStack
        Its optics are used. Of patterns that it carries the wave vectors are taken;
        phases and modulation are fitted.
    settings : EstimationSettings
        Layout and search range.
    context : Context
        For the warnings.
    findings : SeriesFindings, optional
        What a series of stacks whose mean the frames are has shown of the wave vectors
        that were given. By default the frames themselves have to show them.

    Yields
    ------
    Progress
        Before each angle and before the fit.

    Returns
    -------
    tuple of Pattern
    """
    from napari_dps.physics.sim.estimate import PatternEstimator
    from napari_dps.physics.sim.otf_fall import with_otf_fall

    optics = image.require_optics("finding the patterns")
    angles = int(frames.shape[0])
    steps = angles + 2
    bytes_per_px = BYTES_PER_PX + BYTES_PER_FRAME_PX * angles * int(frames.shape[1])
    height, width = frames.shape[-2:]
    require_memory("finding the patterns", (height, width), bytes_per_px, frames.device)
    given = known_by_angle(image)
    yield Progress(0, steps, "looking at all frames")
    estimator = PatternEstimator(frames, optics, settings)
    for angle in range(angles):
        yield Progress(angle, steps, f"finding the stripes of angle {angle + 1}")
        if angle in given and findings is not None:
            estimator.confirm(angle, findings.known.get(angle, {}))
        elif angle in given:
            estimator.use(angle, given[angle])
        else:
            estimator.search(angle)
    yield Progress(angles, steps, "fitting the phases")
    patterns = tuple(estimator.patterns())
    if context.otf is None and not settings.is_projection:
        patterns = with_otf_fall(frames, patterns, optics)
    told = "" if findings is None else confidence_of(findings)
    for warning in pattern_warnings(patterns, angles, known_orders(image), told):
        context.warn(warning)
    if warning := cutoff_warning(patterns, optics):
        context.warn(warning)
    return patterns


def cutoff_warning(patterns: Sequence[Pattern], optics: Optics) -> str:
    """Say that raw frames show a finer lens than their optics; empty where not.

    Parameters
    ----------
    patterns : sequence of Pattern
        Found on the frames.
    optics : Optics
        The detection, at the pixel size of the frames.
    """
    from napari_dps.physics.sim.otf_fall import missing_of_cutoff

    missing = missing_of_cutoff(patterns)
    if not missing:
        return ""
    # In steps, so that a time-lapse is not warned of at every point.
    percent = max(round(20 * missing), 1) * 5
    return (
        f"the raw frames show finer detail than NA {optics.na:g}, "
        f"{optics.emission_nm:g} nm and pixels of {optics.pixel_size_nm:g} nm pass: "
        f"the cut-off is about {percent} % too small (wrong NA, wavelength or pixel "
        "size); what lies within it is corrected"
    )


def pattern_warnings(
    patterns: Sequence[Pattern],
    angles: int,
    given: Collection[tuple[int, int]] = (),
    evidence: str = "",
) -> Iterator[str]:
    """Say which patterns are missing or uncertain, in the user's words.

    Parameters
    ----------
    patterns : sequence of Pattern
        Of one channel.
    angles : int
        Angles of the stack.
    given : collection of (int, int)
        Index of the angle and number of the order of the wave vectors that the user
        gave.
    evidence : str
        What is to be said of the evidence where one of them is not used.
    """
    none = not any(pattern.is_usable for pattern in patterns)
    for number, pattern in enumerate(patterns):
        name = f"angle {pattern.angle_index + 1} of {angles}"
        if sum(p.angle_index == pattern.angle_index for p in patterns) > 1:
            name = f"direction {number + 1} of {len(patterns)}"
        for order in pattern.orders:
            wanted = (pattern.angle_index, order.order) in given
            if wanted and order.status != "given":
                yield (
                    f"the frames do not show the stripes given for {name}, order "
                    f"{order.order}: not used{evidence}"
                )
        for order in pattern.orders:
            if order.status == "doubtful":
                yield _doubt(order, name)
        yield from _phase_warnings(pattern, name)
        yield from _status_warnings(pattern, name, none)
    if none:
        yield (
            "no illumination pattern was found with confidence: the result is the "
            "widefield image on the 2x grid (check frame order, camera offset and "
            "optics, or give the patterns of a brighter stack)"
        )


def _status_warnings(
    pattern: Pattern, name: str, is_none_usable: bool
) -> Iterator[str]:
    """Say when an angle is not known as surely as it should be."""
    if pattern.status == "tentative":
        yield (
            f"pattern of {name} is tentative: too faint to be found alone, it was "
            "found with the support of the other angles (the confidence is that "
            "of all together)"
        )
    elif pattern.status in UNUSABLE and pattern.is_usable:
        yield f"of {name} only the second order was found with confidence"
    elif not pattern.is_usable and not is_none_usable:
        part = (
            "are left out, since their mean has stripes"
            if pattern.keeps_stripes
            else "serve as widefield only"
        )
        yield (
            f"pattern of {name} was not found with confidence: its frames {part}, "
            "and resolution along its direction is not improved"
        )


def stripe_report(image: ImageStack) -> list[dict[str, Any]]:
    """Return how far a reconstruction has kept the stripes of each angle and order.

    Parameters
    ----------
    image : ImageStack
        The reconstruction, "YX" or "ZYX", with its patterns. Of a volume the mean over
        its planes is told.

    Returns
    -------
    list of dict
        For each order: angle and order from 1 on; index, see `stripe_indices`.
    """
    from napari_dps.physics.sim.stripes import stripe_indices

    if image.pixel_size_nm is None:
        return []
    planes = [
        stripe_indices(plane, image.patterns, image.pixel_size_nm)
        for plane in image.data.reshape(-1, *image.shape[-2:])
    ]
    return [
        {
            "angle": image.patterns[number].angle_index + 1,
            "order": order,
            "index": float(np.mean([indices[number, order] for indices in planes])),
        }
        for number, order in planes[0]
    ]


def report_reconstruction(image: ImageStack) -> dict[str, Any]:
    """Return patterns and what is left of their stripes, for a report."""
    return report_patterns(image) | {"stripes": stripe_report(image)}


def stripe_warnings(image: ImageStack) -> Iterator[str]:
    """Say which stripes a reconstruction has kept; see `stripe_report`."""
    from napari_dps.physics.sim.stripes import RESIDUAL

    for entry in stripe_report(image):
        if entry["index"] > RESIDUAL:
            yield (
                f"stripes are left in the image: order {entry['order']} of angle "
                f"{entry['angle']} (its phases or frame order are wrong, or the "
                "sample moved)"
            )


def _doubt(order: PatternOrder, name: str) -> str:
    """Say what speaks against stripes that are not used, and what to check."""
    stripes = f"stripes of {name}"
    if order.period_nm is not None and order.angle_deg is not None:
        stripes += f" ({order.period_nm:.0f} nm, {order.angle_deg:.0f}°)"
    reasons = {
        "outside": "stand out more than any within the range that is searched: check "
        "NA, emission wavelength and pixel size, or widen the range of wave vectors",
        "repeats": "are not to be told from the object, which repeats itself (a "
        "grating, a lattice of dots): give the patterns of another sample",
        "contradicts": "agree with no other angle or order in period and direction: "
        "check frame order and optics, or give them as known patterns if right",
        "weak": "are weaker than stripes that are seen so faintly should be: check NA, "
        "emission wavelength and pixel size; stripes beyond the reach of the search "
        "look like that",
        "frames": "are missing from a frame: check the order of the frames, and "
        "whether one was lost",
        "phases": "hardly move from frame to frame, or twice to the same place: their "
        "phases do not separate the orders (check the phase shifter and the order of "
        "the frames)",
    }
    return f"{stripes} {reasons.get(order.doubt, 'are doubtful')}; not used"


def _phase_warnings(pattern: Pattern, name: str) -> Iterator[str]:
    """Say when the phases of the frames are not known well."""
    error = pattern.phase_error_deg
    if not pattern.is_usable:
        return
    if error is None:
        if pattern.phase_steps == "equal":
            yield (
                f"equal phase steps are assumed for {name}: those of five phases "
                "cannot be measured on the mean of focal planes (three-beam SIM is "
                "reconstructed plane by plane)"
            )
        return
    if pattern.phase_steps == "equal":
        yield (
            f"the phases of {name} cannot be measured in so little light (to "
            f"{error:.0f}°): equal steps are assumed"
        )
    elif error > TOLD_DEG:
        yield (
            f"the phases of {name} are known to {error:.0f}° only: stripes may be left "
            "in the result"
        )
