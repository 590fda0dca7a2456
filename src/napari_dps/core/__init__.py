"""Types, parameters, errors, progress and device: the ground everything stands on."""

from napari_dps.core.errors import InputError, NapariDpsError
from napari_dps.core.info import (
    OFFSET_STEP,
    OTF_STEP,
    CameraNoise,
    HistoryEntry,
    NoiseToSignal,
    StackInfo,
    is_raw,
    refined_grid,
)
from napari_dps.core.optics import Optics
from napari_dps.core.params import StageParameters
from napari_dps.core.patterns import Pattern, PatternOrder
from napari_dps.core.progress import (
    Progress,
    between,
    finish,
    one_of,
    relay,
    uncounted,
    within,
)
from napari_dps.core.types import ImageStack, RawFrames

__all__ = [
    "OFFSET_STEP",
    "OTF_STEP",
    "CameraNoise",
    "HistoryEntry",
    "ImageStack",
    "InputError",
    "NapariDpsError",
    "NoiseToSignal",
    "Optics",
    "Pattern",
    "PatternOrder",
    "Progress",
    "RawFrames",
    "StackInfo",
    "StageParameters",
    "between",
    "finish",
    "is_raw",
    "one_of",
    "refined_grid",
    "relay",
    "uncounted",
    "within",
]
