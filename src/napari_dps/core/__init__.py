"""Types, parameters, errors, progress and device: the ground everything stands on."""

from napari_dps.core.errors import InputError, NapariDpsError
from napari_dps.core.optics import Optics
from napari_dps.core.params import StageParameters
from napari_dps.core.patterns import Pattern, PatternOrder
from napari_dps.core.progress import Progress, finish, one_of, relay, within
from napari_dps.core.types import OFFSET_STEP, HistoryEntry, ImageStack, NoiseToSignal

__all__ = [
    "OFFSET_STEP",
    "HistoryEntry",
    "ImageStack",
    "InputError",
    "NapariDpsError",
    "NoiseToSignal",
    "Optics",
    "Pattern",
    "PatternOrder",
    "Progress",
    "StageParameters",
    "finish",
    "one_of",
    "relay",
    "within",
]
