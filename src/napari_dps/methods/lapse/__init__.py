"""What changes over a time-lapse beside the sample: its place, and its light."""
