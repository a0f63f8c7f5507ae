"""Between records and what stores, caches and files hold."""
