"""Firestore, in its own messages."""
