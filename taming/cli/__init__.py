"""The command line, `python -m taming`: one command per file."""

import argparse
import logging
import os
import sys
from collections.abc import Sequence

from ..errors import TamingError
from ..text import accept_any_text
from ..training.memory import is_out_of_memory
from . import convert, decode, download, encode, inspect, reconstruct, sample, train
from .version import find_version

DESCRIPTION = (
    "Discrete-token image models. No command replaces a file that is there already, unless you say --overwrite."
)
COMMANDS = (encode, decode, reconstruct, sample, train, convert, inspect, download)
CLOSED_PIPE = 141  # the exit status of what a closed pipe ends: 128 and the number of SIGPIPE


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status.

    That is 0, 1 for an error that was explained, 130 for Ctrl-C, or 141 if what read the output has closed it.
    """
    try:
        try:
            _run(arguments)
        finally:
            if sys.stdout is not None:  # closed from the start
                sys.stdout.flush()  # here, where an error can still be told
    except BrokenPipeError:  # `head`, or a pager that was left, has seen enough
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for stream in filter(None, (sys.stdout, sys.stderr)):
            os.dup2(nowhere, stream.fileno())  # Python flushes both again when it ends
        return CLOSED_PIPE
    except (TamingError, OSError) as error:  # OSError: a folder that cannot be written, a full disk
        print(f"error: {error}", file=sys.stderr)
        return 1
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        print("error: memory ran out. Ask for less at a time: smaller pictures, or a smaller batch.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _run(arguments: Sequence[str] | None) -> None:
    accept_any_text(__name__.partition(".")[0])  # a name that no console shows must not stop the rest of the files
    parser = argparse.ArgumentParser(prog="python -m taming", description=DESCRIPTION)
    parser.add_argument("--version", action="version", version=f"taming {find_version()}", help="say which one this is")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add(commands)
    options, rest = parser.parse_known_args(arguments)
    many = getattr(options, "many", None)  # argparse takes them either before an option or behind it, not both
    if rest and (many is None or any(argument.startswith("-") for argument in rest)):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if many is not None:
        setattr(options, many.dest, [*getattr(options, many.dest), *map(many.type or str, rest)])
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    options.run(options)
