"""A simulated Graph API with the WhatsApp Business accounts of a few customers."""
