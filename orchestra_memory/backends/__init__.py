"""Stores that keep what is given them."""
