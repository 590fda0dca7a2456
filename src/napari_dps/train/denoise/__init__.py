"""The denoiser of raw SIM frames: simulated stacks, objective, task."""
