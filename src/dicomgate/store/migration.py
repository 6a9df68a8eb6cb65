"""Schema steps through alembic: which revisions are known, and the way to the newest one."""

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection


def unknown_of(present: tuple[str, ...]) -> list[str]:
    """Those of the revisions that this version has never heard of: a newer one made them."""
    known = {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}
    return [revision for revision in present if revision not in known]


def upgrade(connection: Connection, present: tuple[str, ...]) -> list[str]:
    """Take the caller's transaction to the newest revision; or do nothing and return the unknown revisions."""
    unknown = unknown_of(present)
    if not unknown:
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    return unknown


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", "dicomgate.store:migrations")
    return config
