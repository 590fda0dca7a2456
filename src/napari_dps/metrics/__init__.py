"""Image quality: with a reference, without one, as an error map, and of raw SIM."""
