"""The doctor's checks, one module per kind of finding."""
