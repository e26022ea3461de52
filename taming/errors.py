"""What the library raises when something from outside is wrong: a file, a configuration, an input."""

from collections.abc import Callable

from .text import printable


class TamingError(ValueError):
    """Base of every error whose message is meant for the person at the keyboard, who can print it on any console.

    Its classes say that they are built in: ComfyUI puts the module of any other class before the message, which for a
    pack is a path of the file system.
    """

    __module__ = "builtins"

    def __init_subclass__(cls) -> None:
        cls.__module__ = "builtins"

    def __str__(self) -> str:
        return printable(super().__str__())

    def __reduce__(self) -> tuple[Callable, tuple]:  # pickle would look for the class among what is built in
        return _error_by_name, (type(self).__name__, *self.args)


class CheckpointError(TamingError):
    """A weights file cannot be read, is damaged, or is not safe to read."""


class UnsupportedCheckpointError(CheckpointError):
    """A weights file reads well but does not hold what was asked for."""


class ConfigError(TamingError):
    """A configuration (YAML, mapping, metadata) is malformed or names something unknown."""


class ConditionError(TamingError):
    """A condition does not suit its transformer: an unknown label, a wrong number of them."""


class TokensError(TamingError):
    """A token grid does not suit a model: its size, its vocabulary or its tokenizer."""


class TrainingError(TamingError):
    """A run cannot go on: it diverged, or memory ran out. Its last good state is kept."""


def _error_by_name(name: str, *args: object) -> TamingError:
    """An error as another process raised it."""
    return globals()[name](*args)
