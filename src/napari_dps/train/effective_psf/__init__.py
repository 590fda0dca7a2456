"""The estimator of the effective PSF: simulated images, task."""
