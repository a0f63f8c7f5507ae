"""What a doctor looks at, one thing a module; each yields findings."""
