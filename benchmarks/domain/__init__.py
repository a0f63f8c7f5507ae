"""Agents, events, analytics, migration and backups, beside what one would write by hand."""
