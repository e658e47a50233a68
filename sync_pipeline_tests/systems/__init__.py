"""Sources over real HTTP, and the systems that read them."""
