"""Raw SIM frames: their patterns, orders, reconstruction and network input."""
