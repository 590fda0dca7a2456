"""What warnings mean for the result, in a sentence each; docs/trust.md has them too."""

MEANINGS = {
    "without the noise of light": "Dark pixels are not 0: brightness is wrong by the "
    "offset, and dim stripes look weaker than they are.",
    "counts less than the": "Dark places lie below 0: brightness is wrong by what is "
    "missing, and light may have been taken from the frames before.",
    "and read noise that are stated": "What is fitted to the raw frames weighs their "
    "noise wrongly: it is too smooth, or grain is taken for structure.",
    "pixels are saturated": "Brightness is cut off there: bright structures are flat, "
    "and rings may lie around them.",
    "under-sampled": "Detail finer than two pixels is folded into coarser detail: fine "
    "lines may be none.",
    "look like order": "Frames were put together in a wrong order: no structure of "
    "this result can be believed until it is mended.",
    "was computed from the others": "A dark frame is made of the other phases of its "
    "angle: the place is noisier. Of an angle with several dark frames the stripes are "
    "lost.",
    "hold no light": "These places show nothing; they do not mix into the others.",
    "missing from a frame or stand still": "At this time point nothing finer than the "
    "widefield image is shown in the direction of this angle.",
    "hardly move from frame to frame": "The frames of this angle are left out: nothing "
    "finer than the widefield image is shown in its direction.",
    "are missing from a frame": "A frame is not of this angle, whose frames are left "
    "out: nothing finer than the widefield image is shown in its direction.",
    "which repeats itself": "Stripes and sample look alike, so these are left out: "
    "nothing finer than the widefield image is shown in their direction.",
    "within the range that is searched": "The true stripes are likely outside the "
    "range: nothing finer than the widefield image is shown in their direction.",
    "agree with no other angle": "Wrong stripes draw lines that are none: these are "
    "left out, and with them the resolution in their direction.",
    "seen so faintly should be": "They may be structure: they are left out, and with "
    "them the resolution in their direction.",
    "is tentative": "The stripes are likely right, but hardly above the noise: compare "
    "with a brighter stack.",
    "not found with confidence": "Nothing finer than the widefield image is shown in "
    "the direction of this angle.",
    "no illumination pattern was found": "The result holds no more than the widefield "
    "image does.",
    "no pattern is known": "Frames lost noise that they have in common alone; there is "
    "no resolution to be had from them.",
    "do not rise": "Their stripes are drowned in noise: they were neither denoised nor "
    "invented.",
    "were made alike": "Light that differs from angle to angle would leave stripes; "
    "where it differs much faint ones may be left.",
    "raw frames show finer detail": "What the lens passes beyond the stated cut-off is "
    "lost; within it nothing is.",
    "the PSF of the image": "Deconvolution with the stated PSF sharpens too much or "
    "too little: check NA, wavelength and pixel size.",
    "PSF not measured": "The result is as sharp as optics or spectrum say; whether "
    "they are right nothing has shown.",
    "sharper than its optics allow": "It is taken for a SIM image of another program. "
    "If it is none, state the PSF: the result is less sharp than it could be.",
    "how sharp this reconstruction is": "Artefacts are sought at the scale of this "
    "factor; at a wrong one they are passed over.",
    "nothing but strong noise": "The image stays as it is, but for noise. If it is a "
    "SIM image, state its modulation factor.",
    "change over time": "Each time point is reconstructed with its own phases: "
    "harmless where there is light, noisier stripes where there is hardly any.",
    "from plane to plane": "Each plane is reconstructed with its own phases: harmless "
    "where there is light, noisier stripes where there is hardly any.",
    "too dim to measure the phases": "If the phases drift there may be stripes in "
    "these time points; bright ones are right.",
    "equal steps are assumed": "If the phases are not evenly spaced there are stripes "
    "in the image: compare with a brighter stack.",
    "equal phase steps are assumed": "If the phases are not evenly spaced there are "
    "stripes in the image.",
    "stripes are left in the image": "Regular lines at this spacing and direction are "
    "no structure.",
    "were not found in 3-D": "Planes are reconstructed one by one: right for two "
    "beams, without a gain in z for three.",
    "reconstructed one by one": "Light out of focus stays, and nothing is gained in z.",
    "drifts evenly": "The drift is undone; what moves otherwise leaves stripes.",
    "moved back": "The sample moved between angles; that is undone, within angles too "
    "where it drifts evenly. Other motion within an angle leaves stripes.",
    "results after every angle flicker": "What moves so fast has stripes that change "
    "from result to result: they are no structure.",
    "same counts in all raw frames": "The lines beside stand in for them: what they "
    "show is no structure.",
    "hot pixels": "Their neighbours stand in for them: a point there is no structure.",
    "do not agree with the stripes": "The result is sharpened from the reconstruction "
    "alone, and not checked against the raw frames.",
    "memory is free for data consistency": "The result is sharpened from the "
    "reconstruction alone, and not checked against the raw frames.",
    "not used": "What this order of the stripes would have added is missing.",
}
"""By a part of the warning's text; the first that fits counts."""


def meaning_of(warning: str) -> str:
    """Return what a warning means; empty where it says so itself.

    Examples
    --------
    >>> meaning_of("12 hot pixels of the camera were replaced")
    'Their neighbours stand in for them: a point there is no structure.'
    """
    return next((words for part, words in MEANINGS.items() if part in warning), "")
