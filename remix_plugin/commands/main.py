"""The console command ``remix``: one subcommand for each thing to do with runs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import shtab

from remix_plugin.commands import (
    archive,
    curves,
    doctor,
    figures,
    report,
    run,
    suite,
    video,
)

# Each has add_arguments(parser) and main(arguments, parser), which returns an exit code
SUBCOMMANDS = {
    "run": run,
    "suite": suite,
    "figures": figures,
    "report": report,
    "archive": archive,
    "video": video,
    "curves": curves,
    "doctor": doctor,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the subcommand that is named; the exit code.

    Args:
        arguments (sequence of str, optional): those of the command line if not given.
    """
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    if arguments[:1] == ["run"] and not {"-h", "--help"} & set(arguments):
        # All that follows is Hydra's.
        return run.run_with_hydra(arguments[1:])
    parser, subparsers = make_parsers()
    if not arguments or arguments[0] not in subparsers:
        parser.parse_args(arguments)
    chosen = subparsers[arguments[0]]
    # Suites take overrides before and after options.
    args = chosen.parse_intermixed_args(arguments[1:])
    return SUBCOMMANDS[arguments[0]].main(args, chosen)


def make_parsers() -> tuple[
    argparse.ArgumentParser, dict[str, argparse.ArgumentParser]
]:
    """The command's parser, and that of each subcommand by its name."""
    parser = argparse.ArgumentParser(
        prog="remix", description="Runs of BenchMARL with ReMIX and its rivals."
    )
    shtab.add_argument_to(parser, "--print-completion")
    subparsers = parser.add_subparsers(
        dest="subcommand", required=True, metavar="SUBCOMMAND"
    )
    for name, module in SUBCOMMANDS.items():
        summary, _, rest = (module.__doc__ or "").partition("\n\n")
        subparser = subparsers.add_parser(
            name,
            help=summary.removesuffix("."),
            description=f"{summary}\n\n{rest}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.add_arguments(subparser)
    return parser, subparsers.choices


if __name__ == "__main__":
    sys.exit(main())
