"""Deconvolution on the 2× grid: the imaging model, Richardson–Lucy, sparse–Hessian."""
