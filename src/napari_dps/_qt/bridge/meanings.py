"""What warnings mean for the result, in a sentence each; docs/trust.md has them too."""

MEANINGS = {
    "without the noise of light": "Dark pixels are not 0: brightness is wrong by the "
    "offset, and dim stripes look weaker than they are.",
    "look like order": "Frames were put together in a wrong order: no structure of "
    "this result can be believed until it is mended.",
    "not found with confidence": "Nothing finer than the widefield image is shown in "
    "the direction of this angle.",
    "no illumination pattern was found": "The result holds no more than the widefield "
    "image does.",
    "no pattern is known": "Frames lost noise that they have in common alone; there is "
    "no resolution to be had from them.",
    "do not rise": "Their stripes are drowned in noise: they were neither denoised nor "
    "invented.",
    "the PSF of the image": "Deconvolution with the stated PSF sharpens too much or "
    "too little: check NA, wavelength and pixel size.",
    "change over time": "Each time point is reconstructed with its own phases: "
    "harmless where there is light, noisier stripes where there is hardly any.",
    "were not found in 3-D": "Planes are reconstructed one by one: right for two "
    "beams, without a gain in z for three.",
    "moved back": "The sample moved between angles; that is undone. What moves within "
    "an angle leaves stripes.",
    "hot pixels": "Their neighbours stand in for them: a point there is no structure.",
    "do not agree with the stripes": "The result is sharpened from the reconstruction "
    "alone, and not checked against the raw frames.",
    "not used": "What this order of the stripes would have added is missing.",
}
"""By a part of the warning's text."""


def meaning_of(warning: str) -> str:
    """Return what a warning means; empty where it says so itself.

    Examples
    --------
    >>> meaning_of("12 hot pixels of the camera were replaced")
    'Their neighbours stand in for them: a point there is no structure.'
    """
    return next((words for part, words in MEANINGS.items() if part in warning), "")
