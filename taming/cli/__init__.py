"""The command line, `python -m taming`: one command per file."""

import argparse
import logging
import sys
from collections.abc import Sequence

from ..errors import TamingError
from ..wording import accept_any_text
from . import convert, decode, download, encode, inspect, reconstruct, sample, train

DESCRIPTION = (
    "Discrete-token image models. No command replaces a file that is there already, unless you say --overwrite."
)
COMMANDS = (encode, decode, reconstruct, sample, train, convert, inspect, download)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status: 0, 1 for an error that was explained, 130 for Ctrl-C."""
    accept_any_text(__name__.partition(".")[0])  # a name that no console shows must not stop the rest of the files
    parser = argparse.ArgumentParser(prog="python -m taming", description=DESCRIPTION)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add(commands)
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        options.run(options)
    except (TamingError, OSError) as error:  # OSError: a folder that cannot be written, a full disk
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0
