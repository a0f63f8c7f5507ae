"""Stored documents as Firestore's wire messages, and back.

Nothing goes through the proto-plus wrappers around the messages, which cost ten times as much. A
list in a list, which Firestore cannot hold, is a map with the one key ``~list``.
"""
