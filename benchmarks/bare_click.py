"""The floor of any click program: eight commands that are loaded when they are called."""

import click

COMMANDS = ("check", "disable", "enable", "evacuate", "fence", "history", "recover", "status")


class LazyGroup(click.Group):
    """Knows its commands' names; makes a command when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of this name."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        return click.Command(cmd_name, short_help=f"Do what {cmd_name} says.")


@click.command(cls=LazyGroup)
def main() -> None:
    """A program that does nothing."""


if __name__ == "__main__":
    main()
