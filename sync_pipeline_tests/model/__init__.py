"""Tests of the vocabulary; pure Python, no database."""
