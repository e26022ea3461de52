"""Bad files of the newer formats: conditional models, other families, pickles with stubs. Refused, nothing run."""

import time
from pathlib import Path

import pytest

from hostile import Hostile
from hostile.forge import torch_zip
from hostile.opcodes import (
    CALL,
    NO_ARGUMENTS,
    NONE,
    OBJECT,
    PICKLES,
    STOP,
    STORAGE_BYTES,
    changed,
    mapping,
    tensor,
    text,
)
from hostile.whole_models import TOKENIZERS, WHOLE_MODELS
from taming.checkpoints import convert_checkpoint, load_transformer, load_vqgan, read_checkpoint
from taming.errors import TamingError

MAX_SECONDS = 5.0  # of processor time; the longest takes a tenth of it
ORDERED_WITH_ONE_WEIGHT = b"ccollections\nOrderedDict\n" + NO_ARGUMENTS + CALL + b"(" + text("w") + tensor() + b"u"
MAX_GROWTH_MIB = 256  # beyond all that the process ever had


def peak_mib() -> float:
    """The most memory that this process ever had, in MiB; 0 where the system does not say."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.is_file() else []
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), 0.0)


def refusal(read, hostile: Hostile, folder: Path) -> str:
    """What `read` says about the file; it must say so soon, in little memory, and leave nothing behind."""
    canary = folder / "canary"
    path = hostile.write(folder, canary)
    before = sorted(file.name for file in folder.iterdir())
    start, peak = time.process_time(), peak_mib()
    with pytest.raises(TamingError) as error:
        read(path)
    assert time.process_time() - start < MAX_SECONDS
    assert peak_mib() - peak < MAX_GROWTH_MIB
    assert sorted(file.name for file in folder.iterdir()) == before
    message = str(error.value)
    assert hostile.name in message and "\n" not in message and len(message) < 600 and message.isascii()
    return message


@pytest.mark.parametrize("hostile", PICKLES, ids=lambda hostile: hostile.name)
def test_a_conversion_refuses_a_pickle_that_is_made_to_fool_it(hostile: Hostile, tmp_path):
    message = refusal(lambda path: convert_checkpoint(path, tmp_path / "out.safetensors"), hostile, tmp_path)
    assert all(words in message for words in hostile.words), message


@pytest.mark.parametrize("stubs", [True, False])
def test_a_mapping_whose_methods_are_replaced_gives_its_weights_all_the_same(stubs, tmp_path):
    """Reading used to call what the file had put in the place of `items`."""
    state = mapping(*((name, OBJECT if stubs else NONE) for name in ("items", "keys", "__iter__", "get")))
    weights = changed(ORDERED_WITH_ONE_WEIGHT, state)
    path = tmp_path / "replaced.ckpt"
    path.write_bytes(torch_zip(b"\x80\x02" + weights + STOP, **{"data/0": bytes(STORAGE_BYTES)}))
    assert list(read_checkpoint(path, stub_all=stubs).state_dict) == ["w"]


@pytest.mark.parametrize("hostile", WHOLE_MODELS, ids=lambda hostile: hostile.name)
def test_a_whole_model_whose_parts_do_not_fit_is_refused_by_what_does_not(hostile: Hostile, tmp_path):
    message = refusal(load_transformer, hostile, tmp_path)
    assert all(words in message for words in hostile.words), message


@pytest.mark.parametrize("hostile", TOKENIZERS, ids=lambda hostile: hostile.name)
def test_a_tokenizer_of_any_family_whose_parts_do_not_fit_is_refused(hostile: Hostile, tmp_path):
    message = refusal(load_vqgan, hostile, tmp_path)
    assert all(words in message for words in hostile.words), message
