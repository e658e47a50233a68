"""A simulated point-of-sale gateway that speaks Qu's protocol."""
