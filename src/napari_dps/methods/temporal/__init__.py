"""What time points that look alike say of one another."""
