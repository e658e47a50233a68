"""Tests, laid out as the package is; fixtures by concern in `fixtures`."""
