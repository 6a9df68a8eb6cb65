"""Every command by name, and where it stands. A command's file is read when it is wanted, so that a gate does not carry
the assessor's checks, and `dicomgate check` answers at once."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup

COMMANDS: Mapping[str, tuple[str, str]] = {
    "run": ("run", "run"),
    "check": ("rules", "check"),
    "explain": ("rules", "explain"),
    "test-policy": ("rules", "test_policy"),
    "demo": ("about", "demo"),
    "audit": ("audit", "audit"),
    "ban": ("ban", "ban"),
    "detect": ("detect", "detect"),
    "user": ("user", "user"),
    "break-glass": ("break_glass", "break_glass"),
    "login": ("login", "login"),
    "pki": ("pki", "pki"),
    "channel": ("channel", "channel"),
    "segment": ("segment", "segment"),
    "assess": ("assess", "assess"),
    "need": ("need", "need"),
    "watch": ("watch", "watch"),
    "plan": ("plan", "plan"),
    "version": ("about", "version"),
}
"""Name → file in this folder, and what to take from it: a function or a group of commands. In the order of `--help`."""


class Commands(TyperGroup):
    """The group of all commands."""

    def list_commands(self, ctx: Any) -> list[str]:
        """In the order in which one needs them."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Read the file of a command; None when there is no such command."""
        place = COMMANDS.get(cmd_name)
        if place is None:
            return None
        found = getattr(import_module(f"dicomgate.cli.{place[0]}"), place[1])
        if not isinstance(found, typer.Typer):
            alone = typer.Typer(add_completion=False)
            alone.command(cmd_name)(found)
            found = alone
        found.rich_markup_mode = None  # FILE:KEY: is no picture of a key
        return typer.main.get_command(found)
