"""Files in and out: TIFF of every kind, DeltaVision, OME-Zarr, patterns, JSON, CSV."""

from napari_dps.io.content import content_hash
from napari_dps.io.file_optics import optics_told
from napari_dps.io.growing import Growing, open_growing
from napari_dps.io.inputs import find_inputs, is_image_name
from napari_dps.io.instruments import INSTRUMENTS, layout_of
from napari_dps.io.joined import (
    content_of_all,
    in_natural_order,
    name_of_all,
    read_joined,
    stem_of_all,
)
from napari_dps.io.json_csv import strict_json, write_csv, write_json
from napari_dps.io.lazy import Planes, fetch, mapped
from napari_dps.io.load import arrange, load
from napari_dps.io.ngff_write import ZarrBlocks
from napari_dps.io.ome_files import first_of_each_set
from napari_dps.io.order import usual_counts
from napari_dps.io.order_check import OrderCheck, check_order
from napari_dps.io.otf_file import read_otf, save_otf
from napari_dps.io.owner import remove_all, remove_stale
from napari_dps.io.patterns_file import load_patterns, parse_patterns, patterns_json
from napari_dps.io.picking import frame_numbers, pick
from napari_dps.io.raw import Metadata, RawImage
from napari_dps.io.raw_readings import RawReading, raw_readings
from napari_dps.io.read import read
from napari_dps.io.replacing import (
    check_target,
    put,
    replacing,
    temporary_name,
    writing,
)
from napari_dps.io.result_files import ResultFiles, stem
from napari_dps.io.unnamed_raw import suspect_raw
from napari_dps.io.write import save

__all__ = [
    "INSTRUMENTS",
    "Growing",
    "Metadata",
    "OrderCheck",
    "Planes",
    "RawImage",
    "RawReading",
    "ResultFiles",
    "ZarrBlocks",
    "arrange",
    "check_order",
    "check_target",
    "content_hash",
    "content_of_all",
    "fetch",
    "find_inputs",
    "first_of_each_set",
    "frame_numbers",
    "in_natural_order",
    "is_image_name",
    "layout_of",
    "load",
    "load_patterns",
    "mapped",
    "name_of_all",
    "open_growing",
    "optics_told",
    "parse_patterns",
    "patterns_json",
    "pick",
    "put",
    "raw_readings",
    "read",
    "read_joined",
    "read_otf",
    "remove_all",
    "remove_stale",
    "replacing",
    "save",
    "save_otf",
    "stem",
    "stem_of_all",
    "strict_json",
    "suspect_raw",
    "temporary_name",
    "usual_counts",
    "write_csv",
    "write_json",
    "writing",
]
