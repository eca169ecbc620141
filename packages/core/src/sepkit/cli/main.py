"""The `sepkit` command: its subcommands, and one readable line for every error."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from .. import __version__
from ..errors import SepkitError
from . import checking, doctor, exit_codes, generating, importing, info, listing, new_plugin, report, separate
from .terminal import debugging, print_error

PACKAGE = Path(__file__).parent.parent

MOUNTED = {
    "data": ("sepkit.data.cli", "Render, index and check datasets."),
    "ensemble": ("sepkit.cli.ensemble", "Make several methods one, with weights fitted on your songs."),
    "evaluate": ("sepkit.cli.evaluate", "Score stems against the true ones; or methods on a dataset."),
    "finetune": ("sepkit.cli.finetune", "Teach a trained method stems of your own, from songs of yours."),
    "listening-test": ("sepkit.cli.listening_test", "Make a listening test of a run, and read its answers."),
    "serve": ("sepkit.cli.serve", "A page to separate in the browser, and its HTTP API."),
}
"""Commands, or groups of them, that are imported only when they are called: name → (module with `app`, help)."""

COMPLETION = ("install_completion", "show_completion")
"""Options that typer gives to every app; a mounted one is no program of its own, and they would break the shell's."""


class Commands(TyperGroup):
    """The commands of this package and the mounted groups, which the help names without importing them."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Names in the order of the help."""
        return [*super().list_commands(ctx), *_mounted()]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command, or for a mounted group a stand-in that only knows its line of help."""
        if cmd_name in _mounted():
            return TyperCommand(cmd_name, help=MOUNTED[cmd_name][1])
        return super().get_command(ctx, cmd_name)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that is about to run, with a mounted group imported now."""
        if args and args[0] in _mounted():
            group = typer.main.get_command(importlib.import_module(MOUNTED[args[0]][0]).app)
            group.params = [option for option in group.params if option.name not in COMPLETION]
            return args[0], group, args[1:]
        return super().resolve_command(ctx, args)


def _mounted() -> list[str]:
    return [
        name
        for name, (module, _) in MOUNTED.items()
        if PACKAGE.joinpath(*module.split(".")[1:]).with_suffix(".py").exists()
    ]


app = typer.Typer(
    name="sepkit",
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Music source separation: every method behind one command. Exit codes: 0 all fine, 1 something failed, "
    "2 nothing was started, 130 interrupted.",
)
app.command("separate")(separate.separate)
app.command("generate")(generating.generate)
app.command("arrange", no_args_is_help=True)(generating.arrange)
app.command("list")(listing.list_methods)
app.command("info")(info.show_info)
app.command("doctor")(doctor.examine)
app.command("check")(checking.check)
app.command("report", no_args_is_help=True)(report.report)
app.command("import")(importing.import_checkpoint)
app.command("new-plugin")(new_plugin.new_plugin)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"sepkit {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; errors become one line unless SEPKIT_DEBUG=1."""
    try:
        code = app(None if arguments is None else list(arguments), standalone_mode=False, prog_name="sepkit")
    except (KeyboardInterrupt, typer.Abort):
        code = exit_codes.INTERRUPTED
    except SepkitError as error:
        code = _refused(error, str(error), exit_codes.USAGE)
    except BrokenPipeError:
        sys.stdout = None  # the reader has gone, as in `sepkit list | head`: nothing to flush
        return exit_codes.FAILED
    except Exception as error:
        if hasattr(error, "format_message"):  # the parser's own errors; their class depends on typer's version
            code = _misused(error)
        elif isinstance(error, OSError):
            code = _refused(error, str(error), exit_codes.FAILED)
        else:
            reason = f"{type(error).__name__}: {error} (a defect of sepkit or a plugin; SEPKIT_DEBUG=1 shows where)"
            code = _refused(error, reason, exit_codes.FAILED)
    if code == exit_codes.INTERRUPTED:
        print_error("interrupted; no unfinished file was left under a final name.")
    return int(code or exit_codes.OK)


def _refused(error: Exception, message: str, code: int) -> int:
    if debugging():
        raise error
    print_error(message)
    return code


def _misused(error: Any) -> int:
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "sepkit"
    message = error.format_message()
    if message:
        print_error(f"{message} See '{command} --help'.")
    return int(getattr(error, "exit_code", exit_codes.USAGE))
