"""What clients of sources share, whatever the system."""
