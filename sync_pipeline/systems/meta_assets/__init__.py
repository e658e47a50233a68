"""Phone numbers of WhatsApp Business accounts, cached for a messaging product."""
