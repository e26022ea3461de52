"""Shards: tar files as WebDataset lays them out, whose pictures can be had in any order."""

from __future__ import annotations

import io
import tarfile
from concurrent.futures import ThreadPoolExecutor

import pytest

from photos import encoded, photo, told
from taming.data import PictureShards
from taming.errors import TamingError


def shard(path, values, extra=()):
    """A tar file as WebDataset lays them out."""
    members = [(f"{value:03}.png", encoded(photo(value), "png")) for value in values]
    members += [(f"{value:03}.cls", str(value % 3).encode()) for value in values]
    members += [(f"{value:03}.txt", f"number {value}\n".encode()) for value in values]
    with tarfile.open(path, "w") as tar:
        for name, content in (*sorted(members), *extra):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def values_of(pictures):
    return [told(sample.image) for sample in pictures]


def test_shards_give_every_picture_in_their_order_and_any_of_them_at_any_time(tmp_path):
    for part in (10, 2, 1):
        shard(tmp_path / f"{part}.tar", range(part * 10, part * 10 + 10))
    pictures = PictureShards(tmp_path / "*.tar", labels="cls")
    assert values_of(pictures) == [*range(10, 30), *range(100, 110)]
    assert pictures.class_names == ("0", "1", "2") and pictures.skipped == ()
    assert all(sample.label == told(sample.image) % 3 for sample in pictures)
    assert all(sample.caption == f"number {told(sample.image)}" for sample in pictures)
    order = [29, 3, 17, 3]
    with ThreadPoolExecutor(4) as pool:
        assert values_of(pool.map(pictures.__getitem__, order)) == [values_of(pictures)[number] for number in order]
    assert values_of(PictureShards(tmp_path / "2.tar")) == list(range(20, 30))


def test_shards_that_the_library_itself_writes_are_read(tmp_path):
    webdataset = pytest.importorskip("webdataset")
    with webdataset.TarWriter(str(tmp_path / "a.tar")) as writer:
        for value in range(5):
            writer.write({"__key__": f"deep/{value}", "png": photo(value), "cls": value, "txt": f"c{value}"})
    pictures = PictureShards(tmp_path / "a.tar", labels="cls")
    assert [(told(s.image), s.label, s.caption) for s in pictures] == [(v, v, f"c{v}") for v in range(5)]


def test_damage_in_a_shard_costs_what_is_damaged_only_and_is_listed(tmp_path):
    shard(tmp_path / "good.tar", [1], [("005.png", b"broken"), ("006.txt", b"no picture"), ("007.cls", b"x")])
    cut = shard(tmp_path / "later.tar", range(20, 30))
    cut.write_bytes(cut.read_bytes()[:4000])
    (tmp_path / "none.tar").write_bytes(b"not a tar file")
    pictures = PictureShards(tmp_path / "*.tar")
    values = values_of(pictures)
    assert values[:2] == [1, 20] and set(values) <= set(range(20, 30)) | {1}
    reasons = {skipped.path: skipped.reason for skipped in pictures.skipped}
    assert {"good.tar/005.png", "none.tar"} <= set(reasons)
    assert "not a picture" in reasons["good.tar/005.png"]


def test_a_picture_that_is_too_small_or_has_no_class_is_listed(tmp_path):
    extra = [
        ("small.png", encoded(photo(3, (20, 50)), "png")),
        ("small.cls", b"1"),
        ("x.png", encoded(photo(4), "png")),
    ]
    shard(tmp_path / "a.tar", [1], extra)
    reasons = {skipped.path: skipped.reason for skipped in PictureShards(tmp_path / "a.tar", labels="cls").skipped}
    assert reasons == {"a.tar/small.png": "20x50 px is smaller than 32 px", "a.tar/x.png": "it has no label"}


def test_a_shard_that_is_changed_is_another_data_set(tmp_path):
    first = PictureShards(shard(tmp_path / "a.tar", range(3))).fingerprint
    assert PictureShards(tmp_path / "a.tar").fingerprint == first
    assert PictureShards(shard(tmp_path / "a.tar", range(4))).fingerprint != first


def test_pictures_of_a_shard_that_vanishes_are_noted(tmp_path):
    shard(tmp_path / "a.tar", [1])
    gone = shard(tmp_path / "b.tar", [2, 3])
    pictures = PictureShards(tmp_path / "*.tar")
    gone.unlink()
    assert values_of(pictures) == [1, 1, 1]
    assert [(entry.path, entry.reason) for entry in pictures.broken] == [
        ("b.tar/002.png", "it is not there"),
        ("b.tar/003.png", "it is not there"),
    ]


@pytest.mark.parametrize("name", ["pipe:echo x.tar", "https://example.org/0.tar", "missing.tar", "none*.tar"])
def test_a_shard_that_would_be_a_command_or_an_address_is_refused(name, tmp_path):
    with pytest.raises(TamingError, match="not a file on this machine"):
        PictureShards(tmp_path / name)


def test_shards_without_a_picture_and_labels_that_they_do_not_have_are_refused(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w"):
        pass
    with pytest.raises(TamingError, match=r"a\.tar holds no pictures"):
        PictureShards(tmp_path / "a.tar")
    with pytest.raises(TamingError, match="none or cls, not as folders"):
        PictureShards(tmp_path / "a.tar", labels="folders")
