"""What goes on in an outage: degrade, keep, and heal."""
