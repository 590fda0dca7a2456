"""Denoise-DPS: from raw SIM stripes to a super-resolved image, open and measured."""

__version__ = "0.1.0"
