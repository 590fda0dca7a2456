"""The super-resolution network: simulated fields, objective, task."""
