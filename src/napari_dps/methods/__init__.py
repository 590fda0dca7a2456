"""Algorithms that join physics and networks, shared by stages and training."""
