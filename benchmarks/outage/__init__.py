"""The outage fallback: what it costs while all is well, and what it gives while all is not."""
