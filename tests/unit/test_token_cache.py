"""The token cache: right, made once, made again when something changed or broke, and never lost by a kill."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from taming.data import ArrayDataset, PictureFolder
from taming.errors import TamingError, TokensError
from taming.training.batches import to_pixels
from taming.training.token_cache import Reading, cached_tokens

ROOT = Path(__file__).resolve().parents[2]
SIZE_PX = 16


def pictures(count=11, labels=True):
    images = np.random.default_rng(0).integers(0, 256, (count, 20, 24, 3), np.uint8)
    return ArrayDataset(images, labels=np.arange(count) % 3 if labels else None)


class Tokenizer:
    """Four-pixel cells by their mean brightness, in `num_codes` steps; counts what it is asked for."""

    def __init__(self, num_codes=256):
        self.num_codes, self.num_encoded = num_codes, 0

    def __call__(self, pixels):
        assert not torch.is_grad_enabled()
        assert pixels.shape[1:] == (3, SIZE_PX, SIZE_PX) and pixels.abs().max() <= 1
        self.num_encoded += len(pixels)
        cells = torch.nn.functional.avg_pool2d(pixels.mean(1), 4)  # (B, 4, 4)
        return ((cells + 1) / 2 * (self.num_codes - 1)).long()


def expected(data, flips, num_codes=256):
    """The same, picture by picture."""
    rows = []
    for sample in data:
        height, width = sample.image.shape[:2]
        new_width = round(width * SIZE_PX / height)
        image = Image.fromarray(sample.image).resize((new_width, SIZE_PX), Image.Resampling.LANCZOS, reducing_gap=3.0)
        left = (new_width - SIZE_PX) // 2
        pixels = torch.from_numpy(np.array(image)[:, left : left + SIZE_PX]).permute(2, 0, 1)[None].float() / 127.5 - 1
        with torch.no_grad():
            rows += [Tokenizer(num_codes)(view).flatten() for view in [pixels, pixels.flip(3)][: 1 + flips]]
    return torch.stack(rows).numpy()


def make(folder, data=None, encode=None, reader_id="t", size_px=SIZE_PX, **options):
    def read(samples):
        labels = [[] if sample.label is None else [sample.label] for sample in samples]
        return Reading(torch.tensor(labels, dtype=torch.int64), tokenize(to_pixels([s.image for s in samples])))

    tokenize = encode or Tokenizer()
    return cached_tokens(data or pictures(), read, reader_id, size_px, folder, **options)


@pytest.mark.parametrize("flips", [False, True])
@pytest.mark.parametrize("batch_size", [1, 4, 32])
def test_every_row_is_its_picture_or_its_mirror_image_with_its_label(tmp_path, flips, batch_size):
    data = pictures()
    found = make(tmp_path, data, flips=flips, batch_size=batch_size)
    assert found.grid == (4, 4)
    assert (found.tokens == expected(data, flips)).all()
    assert found.prefix.tolist() == [[label] for label in data.labels.tolist() for _ in range(1 + flips)]
    assert isinstance(found.tokens, np.memmap) and found.tokens.dtype == np.uint16


def test_pictures_of_which_nothing_is_told_have_an_empty_prefix(tmp_path):
    found = make(tmp_path, pictures(labels=False))
    assert found.prefix.shape == (11, 0) and (found.tokens == expected(pictures(), False)).all()


def test_large_vocabularies_keep_every_code(tmp_path):
    found = make(tmp_path, encode=Tokenizer(2**18))
    assert found.tokens.dtype == np.int32 and found.tokens.max() >= 2**16
    assert (found.tokens == expected(pictures(), False, 2**18)).all()


def test_the_second_call_encodes_nothing_and_gives_the_same(tmp_path):
    first, encode = make(tmp_path, flips=True), Tokenizer()
    again = make(tmp_path, encode=encode, flips=True)
    assert encode.num_encoded == 0
    assert (again.tokens == first.tokens).all() and (again.prefix == first.prefix).all() and again.grid == first.grid
    assert not [path for path in tmp_path.iterdir() if "partial" in path.name or "unfinished" in path.name]


@pytest.mark.parametrize(
    "change",
    [
        {"data": pictures(12)},
        {"data": pictures(labels=False)},
        {"reader_id": "another"},
        {"size_px": 12},
        {"flips": True},
    ],
)
def test_another_data_set_tokenizer_size_or_flip_is_encoded_anew_beside_the_old(tmp_path, change):
    first = make(tmp_path)
    calls = []

    def encode(pixels):
        calls.append(len(pixels))
        return torch.zeros(len(pixels), 4, 4, dtype=torch.long)

    make(tmp_path, **{"encode": encode, **change})
    assert sum(calls) >= 11
    assert (make(tmp_path, encode=lambda pixels: pytest.fail("encoded again")).tokens == first.tokens).all()


def test_a_changed_picture_file_is_noticed(tmp_path):
    folder, tokens = tmp_path / "in", tmp_path / "tokens"
    folder.mkdir()
    for number in range(3):
        Image.fromarray(np.full((40, 40, 3), number * 90, np.uint8)).save(folder / f"{number}.png")
    first = make(tokens, PictureFolder(folder)).tokens
    Image.fromarray(np.full((40, 40, 3), 255, np.uint8)).save(folder / "1.png")
    second = make(tokens, PictureFolder(folder)).tokens
    assert (first[[0, 2]] == second[[0, 2]]).all() and (first[1] != second[1]).all()


def test_a_stop_in_the_middle_keeps_what_is_done(tmp_path):
    def stop(done, total):
        assert total == 11
        if done >= 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(tmp_path, batch_size=3, progress=stop)
    encode, told = Tokenizer(), []
    found = make(tmp_path, encode=encode, batch_size=3, progress=lambda done, total: told.append((done, total)))
    assert encode.num_encoded == 5 and told == [(9, 11), (11, 11)]
    assert (found.tokens == expected(pictures(), False)).all()


@pytest.mark.parametrize("length", [0, 3, 12, 13, 12 + 72, 12 + 72 * 4 + 1, 12 + 72 * 6])
def test_an_unfinished_file_may_end_anywhere(tmp_path, length):
    """A record is a label, 16 tokens and a checksum of 4 bytes each, after a head of 12 bytes."""
    partial = stopped(tmp_path)
    partial.write_bytes(partial.read_bytes()[:length])
    encode = Tokenizer()
    assert (make(tmp_path, encode=encode).tokens == expected(pictures(), False)).all()
    assert encode.num_encoded == 11 - max(0, length - 12) // 72


@pytest.mark.parametrize("place", [0, 2, 5, 9, 13, 12 + 72 * 3 + 30, -1])
def test_an_unfinished_file_that_is_damaged_is_used_up_to_the_damage(tmp_path, place):
    """As a power failure may leave it."""
    partial = stopped(tmp_path)
    content = bytearray(partial.read_bytes())
    content[place] ^= 255
    partial.write_bytes(content)
    assert (make(tmp_path).tokens == expected(pictures(), False)).all()


def stopped(folder):
    def stop(done, total):
        if done >= 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(folder, batch_size=3, progress=stop)
    (partial,) = folder.glob("*.partial")
    assert partial.stat().st_size == 12 + 72 * 6
    return partial


@pytest.mark.parametrize("suffix", [".npy", ".json"])
@pytest.mark.parametrize("harm", ["gone", "empty", "cut", "garbage"])
def test_a_damaged_cache_is_made_again(tmp_path, suffix, harm):
    make(tmp_path)
    (json_path,) = tmp_path.glob("*.json")
    path = json_path.with_suffix(suffix)
    content = path.read_bytes()
    if harm == "gone":
        path.unlink()
    else:
        path.write_bytes({"empty": b"", "cut": content[:-3], "garbage": b"\0" * len(content)}[harm])
    encode = Tokenizer()
    again = make(tmp_path, encode=encode)
    assert encode.num_encoded == 11
    assert (again.tokens == expected(pictures(), False)).all()
    assert again.prefix.flatten().tolist() == pictures().labels.tolist()


def test_a_single_flipped_bit_is_noticed(tmp_path):
    make(tmp_path)
    (json_path,) = tmp_path.glob("*.json")
    path = json_path.with_suffix(".npy")
    content = bytearray(path.read_bytes())
    content[-8] ^= 1
    path.write_bytes(content)
    again = make(tmp_path)
    assert (again.tokens == expected(pictures(), False)).all()
    assert again.prefix.flatten().tolist() == pictures().labels.tolist()


@pytest.mark.parametrize(
    ("encode", "message"),
    [
        (lambda pixels: torch.zeros(len(pixels), 4, 4), "float32"),
        (lambda pixels: torch.zeros(len(pixels), 16, dtype=torch.long), r"shape \(11, 16\)"),
        (lambda pixels: torch.zeros(1, 4, 4, dtype=torch.long), r"shape \(1, 4, 4\) for 11 pictures"),
        (lambda pixels: torch.full((len(pixels), 4, 4), -1), "from 0"),
    ],
)
def test_what_is_no_tokenizer_is_told_so(tmp_path, encode, message):
    with pytest.raises(TokensError, match=message):
        make(tmp_path, encode=encode)
    assert (make(tmp_path).tokens == expected(pictures(), False)).all()


def test_a_tokenizer_that_changes_its_grid_is_told_so(tmp_path):
    sizes = iter([4, 5])
    with pytest.raises(TokensError, match="4x4 .*came 1 and 5x5"):
        make(
            tmp_path,
            encode=lambda pixels: torch.zeros(len(pixels), *[next(sizes)] * 2, dtype=torch.long),
            batch_size=6,
        )


def test_a_folder_that_cannot_be_written_says_so(tmp_path):
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(TamingError, match="cannot be stored.*another folder"):
        make(tmp_path / "taken")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on the size of files")
def test_a_full_disk_is_an_error_that_keeps_what_is_done(tmp_path):
    """Writing through a memory map would end the whole process here."""
    import resource

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (12 + 72 * 5 + 7, limits[1]))
    try:
        with pytest.raises(TamingError, match="cannot be stored.*Free some space.*is kept"):
            make(tmp_path, batch_size=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    encode = Tokenizer()
    assert (make(tmp_path, encode=encode).tokens == expected(pictures(), False)).all()
    assert encode.num_encoded == 6


# Forked from a process of its own: torch takes seconds to start, and must not have started threads here.
KILLED_AGAIN_AND_AGAIN = """
import os, random, signal, sys, time
from pathlib import Path
import test_token_cache as t
folder, rng = Path(sys.argv[1]), random.Random(int(sys.argv[2]))
for _ in range(12):
    child = os.fork()
    if not child:
        t.make(folder, batch_size=1, flips=True, progress=lambda done, total: time.sleep(0.01))
        os._exit(0)
    time.sleep(rng.uniform(0.0, 0.06))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    print(sum(path.stat().st_size for path in folder.glob("*.partial")), *folder.glob("*.json"))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot fork")
def test_a_process_killed_at_any_instant_goes_on_and_ends_with_the_same_tokens(tmp_path):
    environment = {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests/unit'}", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", KILLED_AGAIN_AND_AGAIN, tmp_path, "0"]
    told = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout.splitlines()
    sizes = [int(line.split()[0]) for line in told if "json" not in line]
    assert sizes == sorted(sizes) and sizes[-1] > 12
    encode = Tokenizer()
    assert (make(tmp_path, encode=encode, flips=True).tokens == expected(pictures(), True)).all()
    assert encode.num_encoded < 22
    assert not list(tmp_path.glob("*.partial"))
