"""The doctor's checks, a module per subject."""
