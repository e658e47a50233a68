"""A simulated point-of-sale gateway with Qu's API."""
