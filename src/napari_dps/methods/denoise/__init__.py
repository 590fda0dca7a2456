"""Denoising of raw SIM frames."""
