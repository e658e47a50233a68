"""The Bubble system against the simulated app."""
