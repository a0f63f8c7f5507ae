"""The library with its cache in Redis: beside plain Redis, beside Firestore, and without Redis."""
