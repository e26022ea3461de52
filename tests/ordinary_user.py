"""What somebody without special rights may read and write."""

import os
import tempfile
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def an_ordinary_user():
    """Root may read everything, so under root this goes on as somebody who may not."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        if user == 0:
            os.seteuid(0)


@contextmanager
def public_folder():
    """A folder that every user can enter, unlike pytest's."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        yield Path(name)
