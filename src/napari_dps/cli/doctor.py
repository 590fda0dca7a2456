"""``napari-dps doctor``: what is installed, what is missing, how fast it is."""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import re
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from napari_dps import __version__
from napari_dps.cli import console
from napari_dps.core import InputError
from napari_dps.core.context import Context
from napari_dps.core.device import DEVICES, available_bytes, resolve_device
from napari_dps.physics.simulate import SimulationSettings, simulate
from napari_dps.pipeline import choose_steps, run

PACKAGES = ("numpy", "torch", "scikit-image", "tifffile", "napari", "PyQt6", "PySide6")
"""Whose versions decide most faults."""

STAGES = ("denoise", "reconstruct", "dps")
SIZE_PX = 256

REFERENCES = (
    {"device": "cpu", "what": "one core of a server of 2023", "seconds": 4.6},
)
"""Time of the second of two runs of `STAGES` on 9 frames of 256², as measured."""

EXAMPLES = """
  napari-dps doctor
  napari-dps doctor --no-speed-test --json
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument(
        "--device", default="auto", help=f"{', '.join(DEVICES)} (default: auto)"
    )
    parser.add_argument(
        "--no-speed-test", action="store_true", help="leave out the trial run"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def execute(options: argparse.Namespace) -> int:
    """Look, try, and print what was found."""
    if lacking := missing_base():
        raise InputError(
            f"napari-dps needs {', '.join(lacking)}: pip install napari-dps"
        )
    found: dict[str, Any] = {
        "napari-dps": __version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "packages": {name: _version(name) for name in PACKAGES},
        "device": _device(options.device),
        "missing": missing_by_extra(),
    }
    if not options.no_speed_test:
        found["trial"] = trial(options.device)
    is_right = found.get("trial", {}).get("is_right", True)
    found["verdict"] = verdict(found["missing"], is_right=is_right)
    if options.json:
        console.show_json(found)
    else:
        _show(found)
    return 0 if is_right else console.OUR_FAULT


def verdict(missing: Mapping[str, Sequence[str]], *, is_right: bool) -> str:
    """Say in a line whether all is well, and the one command that adds what is not.

    Parameters
    ----------
    missing : mapping of str to sequence of str
        As `missing_by_extra` returns it.
    is_right : bool
        Whether the trial run was, where there was one.

    Examples
    --------
    >>> verdict({}, is_right=True)
    'Everything is here.'
    >>> verdict({"dv": ["mrc"], "zarr": ["zarr"]}, is_right=True).partition(". ")[2]
    'For what is missing above: pip install "napari-dps[dv,zarr]"'
    """
    if not is_right:
        return "The trial run went wrong on this device: please report these lines."
    if not missing:
        return "Everything is here."
    return (
        "Everything that a run needs is here. For what is missing above: "
        f"{install(_chosen(missing))}"
    )


def install(extras: Iterable[str]) -> str:
    """Return the command that adds extras to an installation, wherever it came from."""
    return f'pip install "napari-dps[{",".join(extras)}]"'


def _chosen(missing: Iterable[str]) -> list[str]:
    """Return the extras to add: of those that bring napari one, with a binding."""
    windows = ("gui", "pyqt6", "pyside6")
    wanted = [extra for extra in missing if extra not in windows]
    needs_binding = {"pyqt6", "pyside6"} & {*missing}
    if needs_binding:
        return [*wanted, "pyqt6"]
    return [*wanted, "gui"] if "gui" in missing else wanted


def missing_base() -> list[str]:
    """Return the packages without which nothing runs and that are not installed."""
    lines = importlib.metadata.requires("napari-dps") or ()
    names = [re.split(r"[^\w.-]", line)[0] for line in lines if "extra ==" not in line]
    return [name for name in names if _version(name) is None]


def missing_by_extra() -> dict[str, list[str]]:
    """Return, by extra, the packages that it would bring and that are not installed.

    Extras for work on napari-dps itself, those that lack nothing, and a second binding
    of Qt are left out.
    """
    bindings = [name for name in ("pyqt6", "pyside6") if _version(name)]
    skipped = (
        "all",
        "test",
        "docs",
        "dev",
        *(("pyqt6", "pyside6") if bindings else ()),
    )
    missing: dict[str, list[str]] = {}
    for line in importlib.metadata.requires("napari-dps") or ():
        match = re.match(r"([\w.-]+).*extra == ['\"]([\w-]+)['\"]", line)
        if match is None or match[2] in skipped:
            continue
        if match[1] != "napari-dps" and _version(match[1]) is None:
            missing.setdefault(match[2], []).append(match[1])
    return missing


def trial(device: str = "auto") -> dict[str, Any]:
    """Reconstruct a simulated stack twice, and look at the result.

    Returns
    -------
    dict
        "first_s" and "seconds" of the two runs, the second with all loaded; "is_right":
        whether the stripes were found where they are.
    """
    settings = SimulationSettings(
        height_px=SIZE_PX, width_px=SIZE_PX, photons=300, seed=1
    )
    raw = simulate(settings).raw
    times, is_right = [], True
    for _ in range(2):
        began = time.perf_counter()
        context = Context(device=str(resolve_device(device)))
        steps = choose_steps(raw, STAGES)
        offset = settings.offset_counts
        result = console.track(
            run(raw, steps, context, camera_offset=offset), "trial run"
        )
        times.append(time.perf_counter() - began)
        right = settings.first_order_period_nm
        periods = [pattern.period_nm or 0.0 for pattern in result.patterns]
        is_right &= len(periods) == settings.angles and all(
            abs(period / right - 1) < 0.01 for period in periods
        )
    return {"first_s": times[0], "seconds": times[1], "is_right": is_right}


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _device(name: str) -> dict[str, Any]:
    """Return what computes, and how much memory it has left."""
    import torch

    device = resolve_device(name)
    title = platform.processor() or platform.machine()
    if device.type == "cuda":
        title = torch.cuda.get_device_name(device)
    return {
        "kind": device.type,
        "name": title,
        "free_gb": round(available_bytes(device) / 1e9, 1),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
    }


def _show(found: dict[str, Any]) -> None:
    device = found["device"]
    rows = [
        ["napari-dps", found["napari-dps"]],
        ["Python", f"{found['python']} ({sys.executable})"],
        ["system", found["system"]],
        *([name, text or "not installed"] for name, text in found["packages"].items()),
        ["device", f"{device['kind']}: {device['name']}"],
        ["free memory", f"{device['free_gb']:.1f} GB"],
        ["cores, threads", f"{device['cores']}, {device['threads']}"],
    ]
    width = max(len(name) for name, _ in rows)
    for name, text in rows:
        console.say(f"{name:<{width}}  {text}")
    for extra, names in found["missing"].items():
        console.say(
            f"without {', '.join(names)}: no {_PURPOSES.get(extra, extra)}; "
            f"{install([extra])}"
        )
    if "trial" in found:
        _show_trial(found["trial"], device["kind"])
    console.say(
        "A report of a fault needs: these lines, the command or the clicks, the "
        "message (with --debug), and report.json of the run or frames of the stack."
    )
    console.say(found["verdict"])


_PURPOSES = {
    "dv": "DeltaVision and MRC files",
    "distributed": "clusters",
    "zarr": "OME-Zarr",
    "formats": "files of Zeiss, Nikon and Leica",
    "gui": "napari",
    "pyqt6": "PyQt6 (napari needs it or PySide6)",
    "pyside6": "PySide6 (napari needs it or PyQt6)",
    "train": "training",
    "bioimageio": "packages of bioimage.io",
    "onnx": "networks as ONNX files",
}


def _show_trial(trial: dict[str, Any], kind: str) -> None:
    what = f"{' + '.join(STAGES)} of 9 frames of {SIZE_PX}²"
    console.say(
        f"{what}: {trial['seconds']:.1f} s, the first time {trial['first_s']:.1f} s"
    )
    for reference in REFERENCES:
        if reference["device"] == kind:
            console.say(
                f"  for comparison: {reference['seconds']} s on {reference['what']}"
            )
    if not trial["is_right"]:
        console.error(
            "the stripes of a simulated stack were not found: a fault of ours"
        )
