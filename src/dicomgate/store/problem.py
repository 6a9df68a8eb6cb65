"""What every command has to know of the store: how it fails. Without SQLAlchemy, which takes its time to load."""


class StoreError(Exception):
    """The store cannot be used: which file, and why. Holds no value of any record."""
