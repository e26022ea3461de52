"""Pictures kept on disk: those of the files, used again until something changes, made again when damaged."""

import os

import pytest

from photos import photo, save, told
from taming.data import PictureCache, PictureFolder
from taming.errors import TamingError


def test_pictures_kept_on_disk_are_those_of_the_files_at_their_size(tmp_path):
    for number, size in enumerate([(64, 40), (40, 90), (33, 33)]):
        (tmp_path / "in").mkdir(exist_ok=True)
        photo(number, size).save(tmp_path / f"in/{number}.png")
    (tmp_path / "in/1.txt").write_text("second")
    cache = PictureCache(tmp_path / "cache", 32)
    pictures = PictureFolder(tmp_path / "in", cache=cache)
    assert [sample.image.shape for sample in pictures] == [(32, 51, 3), (72, 32, 3), (32, 32, 3)]
    assert [(told(sample.image), sample.caption) for sample in pictures] == [(0, None), (1, "second"), (2, None)]
    for file in (tmp_path / "in").glob("*.png"):
        content = file.stat()
        file.write_bytes(b"x" * content.st_size)
        os.utime(file, ns=(content.st_atime_ns, content.st_mtime_ns))
    assert len(list((tmp_path / "cache").iterdir())) == 2
    with pytest.raises(TamingError):  # the files are gone, so what came before came from the cache alone
        PictureFolder(tmp_path / "in", cache=cache)
    assert [told(sample.image) for sample in pictures] == [0, 1, 2]


def test_kept_pictures_are_used_again_until_something_changes(tmp_path):
    save(tmp_path / "in", ["0.png", "1.png", "2.png"])
    cache = PictureCache(tmp_path / "cache", 32)
    PictureFolder(tmp_path / "in", cache=cache)
    (data,) = (tmp_path / "cache").glob("*.bin")
    made = data.stat().st_mtime_ns
    PictureFolder(tmp_path / "in", cache=cache)
    assert data.stat().st_mtime_ns == made
    photo(7).save(tmp_path / "in/1.png")
    assert [told(sample.image) for sample in PictureFolder(tmp_path / "in", cache=cache)] == [0, 7, 2]
    PictureFolder(tmp_path / "in", cache=PictureCache(tmp_path / "cache", 36))
    assert len(list((tmp_path / "cache").glob("*.bin"))) == 3


@pytest.mark.parametrize("harm", ["flip a bit", "cut", "no index", "garbage index"])
def test_kept_pictures_that_are_damaged_are_made_again(tmp_path, harm):
    save(tmp_path / "in", ["0.png", "1.png"])
    cache = PictureCache(tmp_path / "cache", 32)
    PictureFolder(tmp_path / "in", cache=cache)
    (data,) = (tmp_path / "cache").glob("*.bin")
    content = bytearray(data.read_bytes())
    if harm == "flip a bit":
        content[100] ^= 64
        data.write_bytes(content)
    elif harm == "cut":
        data.write_bytes(content[:-5])
    elif harm == "no index":
        data.with_suffix(".json").unlink()
    else:
        data.with_suffix(".json").write_text('{"crc32": 0, "index": [[1]]')
    pictures = PictureFolder(tmp_path / "in", cache=cache)
    assert [told(sample.image) for sample in pictures] == [0, 1]
    assert data.read_bytes() == b"".join(sample.image.tobytes() for sample in pictures)


def test_a_replaced_picture_stays_replaced_and_noted_when_the_cache_is_opened_again(tmp_path):
    save(tmp_path / "in", ["a/0.png", "b/1.png"])
    content = (tmp_path / "in/a/0.png").read_bytes()
    (tmp_path / "in/a/0.png").write_bytes(content[: len(content) - 30])
    for _ in range(2):
        pictures = PictureFolder(tmp_path / "in", labels="folders", cache=PictureCache(tmp_path / "cache", 32))
        assert [(told(sample.image), sample.label) for sample in pictures] == [(1, 1), (1, 1)]
        assert [entry.path for entry in pictures.broken] == ["a/0.png"]


def test_a_cache_folder_that_cannot_be_written_says_so(tmp_path):
    save(tmp_path / "in", ["0.png"])
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(TamingError, match="cannot be stored.*another folder"):
        PictureFolder(tmp_path / "in", cache=PictureCache(tmp_path / "taken", 32))
