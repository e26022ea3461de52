"""Lists of pictures: their order is kept, and what is wrong with one is told."""

import tarfile

import pytest

from photos import save, told
from taming.data import PictureCache, PictureList, open_pictures
from taming.errors import TamingError


def test_a_list_keeps_its_order_and_its_paths_may_be_relative_or_absolute(tmp_path):
    save(tmp_path, ["a.png", "sub/b.png", "c.png"])
    (tmp_path / "c.txt").write_text("the third")
    (tmp_path / "train.list").write_text(f"c.png\n\n{tmp_path / 'a.png'}\nsub/b.png\nc.png\ngone.png\n")
    pictures = PictureList(tmp_path / "train.list")
    assert [told(sample.image) for sample in pictures] == [2, 0, 1, 2]
    assert pictures[0].caption == "the third"
    assert [(entry.path, entry.reason) for entry in pictures.skipped] == [("gone.png", "it is not there")]


def test_a_list_that_is_missing_or_empty_says_what_to_do(tmp_path):
    with pytest.raises(TamingError, match="one path per line"):
        PictureList(tmp_path / "none.txt")
    (tmp_path / "empty.txt").write_text("\n")
    with pytest.raises(TamingError, match="holds no pictures"):
        PictureList(tmp_path / "empty.txt")


def test_a_list_takes_labels_from_the_folders_of_its_pictures_and_from_nothing_else(tmp_path):
    save(tmp_path, ["x/dog/a.png", "cat/b.png"])
    (tmp_path / "list.txt").write_text("x/dog/a.png\ncat/b.png\n")
    pictures = PictureList(tmp_path / "list.txt", labels="folders")
    assert pictures.class_names == ("cat", "dog") and [sample.label for sample in pictures] == [1, 0]
    with pytest.raises(TamingError, match="give it with the folder"):
        PictureList(tmp_path / "list.txt", labels="labels.csv")


def test_one_name_opens_a_folder_a_list_or_shards_and_what_is_left_out_is_written_down(tmp_path):
    save(tmp_path / "in", ["0.png", "1.png"])
    (tmp_path / "in/2.png").write_bytes(b"broken")
    (tmp_path / "list.txt").write_text("in/1.png\ngone.png\n")
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        tar.add(tmp_path / "in/0.png", "0.png")
    cache = PictureCache(tmp_path / "cache", 32)
    for source, values, listed in (("in", [0, 1], "2.png: "), ("list.txt", [1], "gone.png: "), ("a.tar", [0], None)):
        (tmp_path / "cache/left_out.txt").unlink(missing_ok=True)
        assert [told(sample.image) for sample in open_pictures(tmp_path / source, cache=cache)] == values
        assert (tmp_path / "cache/left_out.txt").exists() == (listed is not None)
        if listed:
            assert (tmp_path / "cache/left_out.txt").read_text().startswith(listed)
