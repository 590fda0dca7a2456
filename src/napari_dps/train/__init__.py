"""Training: a folder a model, and what they share (extra ``train``)."""
