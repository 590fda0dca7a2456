"""Width of the effective PSF, measured in one image."""
