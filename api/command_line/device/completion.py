"""`fitai completion SHELL`: the script that lets a shell complete commands, flags and exercises."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from api.command_line.device.running import JsonCommand

SHELLS = ("bash", "zsh", "fish")
# A zsh that nobody set up, as a new Mac has it, completes nothing and knows no compdef.
BEFORE = {"zsh": "(( $+functions[compdef] )) || { autoload -Uz compinit && compinit }\n"}


@click.command(
    cls=JsonCommand,
    epilog="""\b
Examples:
  echo 'eval "$(fitai completion bash)"' >> ~/.bashrc
  echo 'eval "$(fitai completion zsh)"' >> ~/.zshrc
  fitai completion fish > ~/.config/fish/completions/fitai.fish
""",
)
@click.argument("shell", type=click.Choice(SHELLS))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, for a program.")
@click.pass_context
def completion(context: click.Context, shell: str, as_json: bool) -> None:
    """Print the completion script for a shell."""
    made = get_completion_class(shell)
    assert made is not None
    # The script only: `source()` would also start the shell to look at its version.
    complete = made(context.find_root().command, {}, "fitai", "_FITAI_COMPLETE")
    script = BEFORE.get(shell, "") + complete.source_template % complete.source_vars()
    if as_json:
        from api.command_line.device.terminal import print_json

        print_json({"ok": True, "shell": shell, "script": script})
    else:
        click.echo(script)
