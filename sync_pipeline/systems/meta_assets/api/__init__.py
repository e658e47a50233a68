"""Client of the Graph API."""
