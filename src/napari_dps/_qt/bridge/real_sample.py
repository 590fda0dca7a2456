"""Sample data: real raw SIM frames, fetched from their authors when they are opened.

They are not part of the package: their authors publish them, with checksums but without
a licence that would let others hand them on.
"""

from dataclasses import replace
from pathlib import Path

from napari.utils import progress

from napari_dps._qt.bridge.result_layers import LayerData, stack_layer
from napari_dps.core import InputError, Optics
from napari_dps.io import load

NAME = "TIRF_Tubulin_525nm.tif"
BASE_URL = (
    "https://github.com/fairSIM/test-datasets/releases/download/TIRF-SIM-Georgia/"
)
SHA256 = "963d38c7238c917b6ceb3bd8c334fe46b201008c49832aa58e3589fb5eddf853"
"""Checksum of the file, from ``checksums/TIRF-SIM-Georgia.sha256`` of its authors."""
OPTICS = Optics(na=1.49, emission_nm=525, pixel_size_nm=63)
"""Values in ``parameters/TIRF_Tubulin.xml`` there, which also tells of three angles of
three phases each, the phases first (PAZ)."""
FOLDER_VARIABLE = "NAPARI_DPS_CACHE"
_TIMEOUT_S = 15.0


def tubulin() -> list[LayerData]:
    """Return tubulin by TIRF-SIM of the Kner lab, courtesy of Peter Kner.

    One of the test data of fairSIM: Müller et al. 2016, doi:10.1038/ncomms10980.

    Raises
    ------
    InputError
        Without a connection, or if another file came than the one that is known.
    """
    path = fetch(BASE_URL, SHA256)
    stack = load(
        path, angles=3, phases=3, order="apyx", pixel_size_nm=OPTICS.pixel_size_nm
    )
    name = "Tubulin, TIRF-SIM (real)"
    return [stack_layer(replace(stack, optics=OPTICS), name, colormap="gray")]


def fetch(base_url: str, sha256: str) -> Path:
    """Return the file, from the folder of downloads or else from its address.

    Parameters
    ----------
    base_url : str
        Where it lies, with a slash at the end.
    sha256 : str
        What is asked of its content.

    Raises
    ------
    InputError
        If it cannot be fetched, or is another one.
    """
    import pooch

    store = pooch.create(
        path=pooch.os_cache("napari-dps"),
        base_url=base_url,
        registry={NAME: f"sha256:{sha256}"},
        env=FOLDER_VARIABLE,
    )
    by_hand = f"or {NAME} of {base_url} put into {store.abspath} by hand"
    try:
        return Path(store.fetch(NAME, downloader=_download))
    except OSError as error:  # of the connection, and of the disk
        raise InputError(
            f"the real raw frames cannot be fetched ({type(error).__name__})",
            allowed=f"a connection to the internet, {by_hand}",
        ) from error
    except ValueError as error:  # of the checksum
        raise InputError(
            "the real raw frames that came are not those that are known",
            allowed=f"the file with SHA-256 {sha256[:12]}…: try again later, {by_hand}",
        ) from error


def _download(url: str, output_file: str, pooch_of_file: object) -> None:
    """Download with a bar in napari's activity dock, which keeps the window alive."""
    import pooch

    with progress(desc="fetching raw frames", total=1) as bar:  # pooch sets the total
        get = pooch.HTTPDownloader(progressbar=bar, timeout=_TIMEOUT_S)
        get(url, output_file, pooch_of_file)
