"""Durable state: audit records in SQLite. A record is on disk before anyone acts on it."""
