"""Files that are damaged, mislabelled or made to do harm, each with words that the refusal has to contain.

Nothing of `taming` is imported, so that tests through a running host can use it too. Every file that tries to run
code would create the file `canary`; no test may ever find it.
"""

from .forge import Hostile
from .models import NOT_A_TRANSFORMER, NOT_A_VQGAN
from .unreadable import UNREADABLE
from .yaml_files import YAML

__all__ = ["NOT_A_TRANSFORMER", "NOT_A_VQGAN", "UNREADABLE", "YAML", "Hostile"]
