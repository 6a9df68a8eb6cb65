"""Revisions, oldest first. A released one is never edited: a change of the schema is a new file."""
