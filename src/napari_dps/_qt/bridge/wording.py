"""Messages of the pipeline in the words of the docks."""

import re

_IN_GUI_WORDS = {
    "--modulation-factor auto": "PSF: measured",
    "--patterns": "Load patterns",
    "--pixel-size-nm": "pixel size",
    "--emission-nm": "emission wavelength",
    "--na": "NA",
    "--order": "the order of the frames",
    "--angles": "angles",
    "--phases": "phases",
    "--device": "device",
}


def in_gui_words(text: str) -> str:
    """Name what a message of the pipeline says by its place in the docks.

    Examples
    --------
    >>> in_gui_words("give --pixel-size-nm")
    'give pixel size'
    """
    for flag, words in _IN_GUI_WORDS.items():
        text = text.replace(flag, words)
    return re.sub(r"--([a-z]+)\.([a-z-]+)", r"\2", text)
