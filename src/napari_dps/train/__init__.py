"""Training: data, losses, the loop and its evaluation (extra ``train``)."""
