"""`turnout`: the list of commands, each imported only when it is the one that was asked for."""

import importlib
from collections.abc import Sequence
from dataclasses import dataclass

import click

from turnout import __version__
from turnout.errors import TurnoutError


@dataclass(frozen=True)
class Entry:
    """Where a command is (an attribute `command` of the module) and its line in the list, which needs no import."""

    module: str
    summary: str


COMMANDS = {
    "run": Entry("turnout.cli.run", "Serve a directory of manifests on this machine, without a cluster."),
    "check": Entry("turnout.cli.check", "Find the mistakes in a directory of manifests."),
    "adopt": Entry("turnout.cli.adopt", "Print the edit of a group that makes a canary its primary."),
    "keys": Entry("turnout.cli.keys", "List, rotate and revoke keys, in a directory or in a cluster."),
    "compile": Entry("turnout.cli.compile", "Write the Envoy files for a directory of manifests."),
    "crds": Entry("turnout.cli.crds", "Print the CustomResourceDefinitions."),
    "fake-provider": Entry("turnout.cli.fake_provider", "Play a provider with made-up answers and faults."),
    "operator": Entry("turnout.cli.operator", "Run in a cluster and keep its routers as the resources say."),
}


class Refusal(click.ClickException):
    """One line on stderr, exit code 2."""

    exit_code = 2


class Commands(click.Group):
    """The group behind `turnout`: lazy, and the one catcher of TurnoutError."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Names, in the order in which a new user meets them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import the command's module; None if there is no such command."""
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        command: click.Command = importlib.import_module(entry.module).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """The list in --help, without importing a single command."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.summary) for name, entry in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> object:
        """Run the command; what Turnout raises on purpose ends as one line."""
        try:
            return super().invoke(ctx)
        except TurnoutError as error:
            raise Refusal(str(error)) from error


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, "-V", "--version", message="turnout %(version)s")
def turnout() -> None:
    """Keep LLM traffic flowing: failover, scoped keys and canary rollouts in front of OpenAI-compatible providers.

    Start with `turnout run DIR` on your own machine; `turnout operator` does the same in a Kubernetes cluster.
    """


def run(arguments: Sequence[str] | None = None) -> None:
    """Run the command line with these arguments, or the process's own; for tests."""
    turnout(args=arguments)
