"""HTTP clients: transport, retry, OAuth, redaction of secrets, error text."""
