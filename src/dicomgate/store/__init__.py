"""Durable state in SQLite: audit records, local users, emergency access. A record is kept before anyone acts on it."""
