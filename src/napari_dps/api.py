"""What scripts call: `napari_dps.load`, `.run`, `.save` and a function for every stage.

`napari_dps` itself offers these names, and imports this module when one is used.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_dps.core import ImageStack, InputError, NapariDpsError, Optics, finish
from napari_dps.core.context import Context
from napari_dps.core.device import resolve_device
from napari_dps.core.params import describe, parse
from napari_dps.io import save
from napari_dps.io.raw import Metadata, RawImage
from napari_dps.metrics.measure import measure
from napari_dps.physics import simulate as simulation
from napari_dps.physics.simulate_settings import SimulationSettings
from napari_dps.physics.simulated import Simulation
from napari_dps.pipeline import (
    InputSettings,
    PipelineResult,
    Settings,
    find_stage,
    open_input,
    open_stack,
    run_plan,
)
from napari_dps.stages import STAGES, Stage

Image = str | os.PathLike[str] | NDArray[Any] | ImageStack
"""What the functions take: a file, an array, or a stack."""

__all__ = [
    "ImageStack",
    "InputError",
    "NapariDpsError",
    "Optics",
    "load",
    "measure",
    "run",
    "save",
    "simulate",
    *(stage.id for stage in STAGES),
]


def load(path: str | os.PathLike[str], **settings: Any) -> ImageStack:
    """Read a file, with what its metadata say and what the caller knows.

    Parameters
    ----------
    path : path-like
        OME-TIFF, ImageJ or plain TIFF, LSM; with the extras, DeltaVision, OME-Zarr,
        CZI, ND2 and LIF.
    **settings
        How to read it and the optics, by the names that the command line has for them:
        ``angles=3, phases=3, na=1.3, emission_nm=660, pixel_size_nm=65, ...``.

    Returns
    -------
    ImageStack
        ``.data`` of the file's type; ``.axes`` a selection of T, C, Z, A, P, Y, X in
        this order; pixel size, optics and patterns where they are known.

    Raises
    ------
    InputError
        If the file cannot be read or does not fit the settings.
    """
    camera = [name for name in settings if name.endswith(("_offset", "_map"))]
    if camera:
        raise InputError(
            "keyword of load",
            got=camera[0],
            allowed="in run: pixels are read as stored",
        )
    stack, found = open_stack(path, _settings(settings, ()))
    for text in found:
        warnings.warn(text, stacklevel=2)
    return stack


def run(
    image: Image,
    stages: Sequence[str] | None = None,
    *,
    axes: str = "",
    device: str = "auto",
    **settings: Any,
) -> PipelineResult:
    """Run the stages on an image: the same pixels as those of ``napari-dps run``.

    Parameters
    ----------
    image : path-like, array or ImageStack
        A file; the pixels as (..., Y, X), for raw SIM frames with ``angles`` and
        ``phases`` as (frames, Y, X); or a stack.
    stages : sequence of str, optional
        Ids of the stages in order; by default all that fit the image.
    axes : str, optional
        One letter a dimension of an array, of T, C, Z, A, P, Y, X; without it, what
        stands before Y and X is frames.
    device : str
        "auto", "cpu", "cuda", "cuda:N" or "mps".
    **settings
        As for `load`; and the parameters of a stage as a mapping by its id:
        ``dps={"strength": 0.7}``; ``networks={"precision": "bfloat16"}``.

    Returns
    -------
    PipelineResult
        ``.images`` of all stages in order, ``.patterns``, ``.warnings``, ``.outputs``.

    Raises
    ------
    InputError
        If the image, a name or a value is wrong.

    Examples
    --------
    >>> image = np.random.default_rng(1).poisson(50, (64, 64))
    >>> result = run(image, ["background"], background={"radius_px": 10})
    >>> result.images[0].axes, result.images[0].shape
    ('YX', (64, 64))
    """
    tables = ("networks", *(stage.id for stage in STAGES))
    chosen = _settings(settings, tables, stages)
    plan = open_input(_source(image, axes), chosen)
    context = Context(str(resolve_device(device)), networks=chosen.networks)
    return finish(run_plan(plan, context))


def simulate(**settings: Any) -> Simulation:
    """Simulate raw SIM frames of which the truth is known.

    Parameters
    ----------
    **settings
        Fields of `napari_dps.physics.simulate_settings.SimulationSettings`, as
        ``napari-dps simulate`` has them: ``photons=200, seed=1, structure="er", ...``.

    Returns
    -------
    Simulation
        ``.raw`` (A, P, Y, X) and ``.truth`` (Y, X), both `ImageStack`.

    Raises
    ------
    InputError
        If a name or a value is wrong.
    """
    return simulation.simulate(parse(SimulationSettings, settings, "simulation"))


def __getattr__(name: str) -> Any:
    """Return the function of a stage, by its id."""
    if name in {stage.id for stage in STAGES}:
        function = _function_of(find_stage(name))
        globals()[name] = function
        return function
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _function_of(stage: Stage[Any]) -> Callable[..., Any]:
    """Return a function that runs one stage; its docstring lists the parameters."""

    def function(
        image: Image, *, axes: str = "", device: str = "auto", **settings: Any
    ) -> Any:
        fields = stage.parameters.model_fields
        values = {name: settings.pop(name) for name in settings.keys() & fields}
        _settings(settings, ("networks",), also=fields)
        result = run(
            image,
            [stage.id],
            axes=axes,
            device=device,
            **settings,
            **{stage.id: values},
        )
        for text in result.warnings:
            warnings.warn(text, stacklevel=2)
        return result.images[-1].data if _is_array(image) else result.images[-1]

    function.__name__ = function.__qualname__ = stage.id
    function.__doc__ = _docstring(stage)
    return function


def _docstring(stage: Stage[Any]) -> str:
    """Return the docstring of the function of a stage."""
    lines = [
        f"Run the stage {stage.id}: {stage.title}.",
        "",
        "Parameters",
        "----------",
        "image : path-like, array or ImageStack",
        f"    As for `run`; its last axes are {', '.join(stage.takes)}.",
        "axes, device : str, optional",
        "    As for `run`.",
    ]
    for info in describe(stage.parameters):
        default = "none" if info.default is None else info.default
        text = f"{info.title}: {info.description} Allowed: {info.allowed}; "
        lines += [
            f"{info.name} : {info.kind.__name__}, optional",
            f"    {text}default: {default}.".replace("*", r"\*"),
        ]
    return "\n".join(
        [
            *lines,
            "**settings",
            "    How to read the image, and the optics, as for `load`.",
            "",
            "Returns",
            "-------",
            "array or ImageStack",
            f"    float32, last axes {', '.join(stage.gives)}; an array for an array. "
            "What is doubtful about it is told as a `UserWarning`.",
            "",
            "Raises",
            "------",
            "InputError",
            "    If the image, a name or a value is wrong.",
        ]
    )


def _is_array(image: Image) -> bool:
    return not isinstance(image, str | os.PathLike | ImageStack)


def _source(image: Image, axes: str) -> str | os.PathLike[str] | RawImage | ImageStack:
    """Return an image as `open_input` takes it."""
    if isinstance(image, str | os.PathLike | ImageStack):
        if axes:
            raise InputError("axes", got=axes, allowed="for arrays only")
        return image
    data = np.asarray(image)
    if data.ndim < 2 or (axes and len(axes) != data.ndim):
        allowed = f"{len(axes)} dimensions" if axes else "(..., Y, X)"
        raise InputError("array", got=f"shape {data.shape}", allowed=allowed)
    return RawImage(data, axes.upper() or "Q" * (data.ndim - 2) + "YX", Metadata())


def _settings(
    values: Mapping[str, Any],
    tables: Sequence[str],
    stages: Sequence[str] | None = None,
    *,
    also: Iterable[str] = (),
) -> Settings:
    """Sort keywords into the tables of the settings; some may be whole tables.

    ``also`` are others that the caller would have taken.
    """
    result: dict[str, Any] = {"input": {}, "optics": {}}
    if stages is not None:
        result["pipeline"] = {"stages": [stages] if isinstance(stages, str) else stages}
    fields = {
        **dict.fromkeys(InputSettings.model_fields, "input"),
        **dict.fromkeys(Optics.model_fields, "optics"),
    }
    for name, value in values.items():
        if name in tables:
            result[name] = value
        elif name in fields:
            result[fields[name]][name] = value
        else:
            allowed = ", ".join([*also, *fields, *tables])
            raise InputError("keyword", got=name, allowed=allowed)
    return Settings.from_tables(result)
