"""Client of the Bubble Data API."""
