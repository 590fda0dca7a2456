"""Structured illumination: pattern estimation, order separation, Wiener filtering."""
