"""A disk that is full."""

from contextlib import contextmanager

import pytest


@contextmanager
def full_disk(num_bytes: int):
    """No file grows beyond `num_bytes`: writing more fails in the middle, as on a disk that is full."""
    resource = pytest.importorskip("resource", reason="only POSIX can limit the size of files")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
