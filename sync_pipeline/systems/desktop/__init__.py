"""The desktop system: an accountants' practice's desktop database and its mobile app's, both ways."""
