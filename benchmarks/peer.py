"""The peer napari-sim-processor, without its widgets, which want Qt at import."""

from __future__ import annotations

import importlib.util
import sys
import types
from typing import Any


def peer_processor(angles: int = 3, phases: int = 3) -> Any:
    """Return a ``ConvSimProcessor`` of the installed napari-sim-processor."""
    name = "napari_sim_processor"
    if name not in sys.modules:
        spec = importlib.util.find_spec(name)
        if spec is None or spec.submodule_search_locations is None:
            raise SystemExit("pip install -r benchmarks/requirements.txt")
        package = types.ModuleType(name)
        package.__path__ = list(spec.submodule_search_locations)
        sys.modules[name] = package
    from napari_sim_processor.processors.convSimProcessor import ConvSimProcessor

    processor = ConvSimProcessor(angles, phases)
    processor.debug = False
    return processor
