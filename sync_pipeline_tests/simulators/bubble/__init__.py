"""Tests of the simulated Bubble app: over real HTTP wherever a client would be."""
