"""The network of SIM images."""
