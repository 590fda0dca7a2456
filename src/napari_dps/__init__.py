"""Denoise-DPS: from raw SIM stripes to a super-resolved image, open and measured.

For scripts: `load`, `run`, `save`, `measure`, `simulate`, and a function for every
stage (`denoise`, `reconstruct`, ...); see `napari_dps.api`.
"""

from typing import Any

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Return a name of `napari_dps.api`, which is imported when it is needed."""
    import importlib

    if not name.startswith("_"):
        api = importlib.import_module("napari_dps.api")
        if name in api.__all__:
            return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """Return what the package offers."""
    import importlib

    api = importlib.import_module("napari_dps.api")
    return sorted({*globals(), *api.__all__})
