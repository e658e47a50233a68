"""Tests of the simulated accountants' practice: over real Postgres."""
