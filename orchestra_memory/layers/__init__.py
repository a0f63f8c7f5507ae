"""Layers: each is a memory around a memory, and adds one promise."""
