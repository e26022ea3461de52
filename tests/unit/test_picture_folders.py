"""Folders of pictures: order, labels, captions; and what is wrong with a file is told, never fatal."""

from __future__ import annotations

import os
import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ordinary_user import an_ordinary_user, public_folder
from photos import encoded, photo, save, told
from taming.data import PictureFolder
from taming.data.scan import natural_key
from taming.errors import TamingError


@pytest.fixture
def open_folder():
    with public_folder() as folder:
        yield folder


def test_nested_folders_are_read_in_the_order_that_people_count_in(tmp_path):
    save(tmp_path, ["a/2.png", "a/10.png", "a/b/1.jpg", "B/1.PNG", "c 1/x y.webp", "z.bmp", "1.tif", "1.gif"])
    (tmp_path / "notes.md").write_text("not a picture")
    (tmp_path / "._2.png").write_text("left by macOS")
    pictures = PictureFolder(tmp_path)
    assert [told(sample.image) for sample in pictures] == [7, 6, 0, 1, 2, 3, 4, 5]
    assert pictures.skipped == () and pictures.class_names == ()
    assert pictures[-1].image.tobytes() == pictures[7].image.tobytes()
    with pytest.raises(IndexError):
        pictures[8]


def test_natural_order_counts_numbers_and_is_total():
    names = ["img10", "img2", "IMG1", "img01", "img1", "a"]
    assert sorted(names, key=natural_key) == ["a", "IMG1", "img01", "img1", "img2", "img10"]


def test_labels_come_from_the_top_folders_and_captions_from_text_files_beside(tmp_path):
    save(tmp_path, ["dog/a.png", "cat/deep/b.png", "loose.png"])
    (tmp_path / "dog/a.txt").write_text("\ufeff a d\u00f6g, asleep \n", encoding="utf-8")
    pictures = PictureFolder(tmp_path, labels="folders")
    assert pictures.class_names == ("cat", "dog")
    assert [(told(s.image), s.label, s.caption) for s in pictures] == [(1, 0, None), (0, 1, "a d\u00f6g, asleep")]
    assert [(skipped.path, skipped.reason) for skipped in pictures.skipped] == [("loose.png", "it has no label")]
    assert [sample.label for sample in PictureFolder(tmp_path)] == [None] * 3


def test_a_table_gives_labels_and_what_it_does_not_fit_is_listed(tmp_path):
    names = ["a b.png", "sub/b.png", "caf\u00e9.png", "unlabeled.png", "blank.png", "torn.png"]
    save(tmp_path, names)
    table = tmp_path / "labels.csv"
    table.write_text(
        "\ufefffile, label ,note\r\na b.png,10,x\r\nsub\\b.png,2\r\ncafe\u0301.png,2\r\nblank.png,\r\n"
        "gone.png,2\r\ntorn.png,2\r\ntorn.png,10\r\n\r\nalone\r\n",
        encoding="utf-8",
    )
    pictures = PictureFolder(tmp_path, labels=table)
    assert pictures.class_names == ("2", "10")
    assert [(told(sample.image), sample.label) for sample in pictures] == [(0, 1), (2, 0), (1, 0)]
    reasons = {skipped.path: skipped.reason for skipped in reversed(pictures.skipped)}
    assert set(reasons) == {"unlabeled.png", "blank.png", "gone.png", "torn.png", "alone"}
    assert "no label" in reasons["unlabeled.png"] and "no such picture" in reasons["gone.png"]
    assert any("'2' and '10'" in skipped.reason for skipped in pictures.skipped)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "an empty file.*file,label"),
        (b"picture;class\na.png;1\n", "picture;class.*separated by commas"),
        (b"file,label\n\xff\xfe,1\n", "cannot be read.*UTF-8"),
        (None, "cannot be read.*file,label"),
    ],
)
def test_a_table_that_is_none_says_what_it_should_be(tmp_path, content, message):
    save(tmp_path, ["a.png"])
    if content is not None:
        (tmp_path / "labels.csv").write_bytes(content)
    with pytest.raises(TamingError, match=message):
        PictureFolder(tmp_path, labels=tmp_path / "labels.csv")


def test_a_table_without_any_fitting_row_says_so(tmp_path):
    save(tmp_path, ["a.png"])
    (tmp_path / "labels.csv").write_text("file,label\nb.png,1\n")
    with pytest.raises(TamingError, match=r"None of the 1 pictures.*a\.png: it has no label"):
        PictureFolder(tmp_path, labels=tmp_path / "labels.csv")


def test_an_empty_or_missing_folder_says_what_to_do(tmp_path):
    with pytest.raises(TamingError, match="holds no pictures .png jpg.*Put some there"):
        PictureFolder(tmp_path)
    with pytest.raises(TamingError, match="is not a folder"):
        PictureFolder(tmp_path / "nowhere")
    (tmp_path / "IMG_1.HEIC").write_bytes(b"from a telephone")
    with pytest.raises(TamingError, match="IMG_1.HEIC: .heic files are not read; save it as JPEG"):
        PictureFolder(tmp_path)


def test_class_folders_asked_for_where_there_are_none_are_explained(tmp_path):
    save(tmp_path, ["a.png", "b.png"])
    with pytest.raises(TamingError, match="None of the 2 pictures.*each class into a folder of its own"):
        PictureFolder(tmp_path, labels="folders")


def test_one_picture_is_a_data_set(tmp_path):
    save(tmp_path, ["only.png"])
    assert [told(sample.image) for sample in PictureFolder(tmp_path)] == [0]


def test_a_thousand_pictures_with_three_percent_broken_give_the_others_and_a_list(tmp_path):
    data = [encoded(photo(value), "png") for value in range(1000)]
    rng = random.Random(0)
    broken = sorted(rng.sample(range(1000), 30))
    for value, content in enumerate(data):
        if value in broken:
            content = [b"", b"not a picture at all", encoded(photo(value, (20, 60)), "png")][value % 3]
        (tmp_path / f"{value:04}.png").write_bytes(content)
    pictures = PictureFolder(tmp_path)
    assert [int(skipped.path[:4]) for skipped in pictures.skipped] == broken
    assert {skipped.reason for skipped in pictures.skipped} == {
        "the file is empty",
        "it is not a picture, or damaged from the start",
        "20x60 px is smaller than 32 px",
    }
    assert [told(sample.image) for sample in pictures] == [value for value in range(1000) if value not in broken]


def test_a_file_cut_short_is_found_when_it_is_used_and_its_neighbor_takes_its_place(tmp_path):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8))
    for kind in ("png", "jpeg", "webp"):
        whole = encoded(noise, kind)
        (tmp_path / f"1.{kind}").write_bytes(whole[: len(whole) // 2])
    save(tmp_path, ["0.png", "2.png"])
    pictures = PictureFolder(tmp_path)
    assert len(pictures) >= 4
    assert [told(sample.image) for sample in pictures] == [0, *[1] * (len(pictures) - 1)]
    found = {entry.path for entry in (*pictures.broken, *pictures.skipped)}
    assert found == {"1.png", "1.jpeg", "1.webp"}


def test_a_file_that_vanishes_is_replaced_by_the_next_with_its_label_and_counted_once(tmp_path):
    save(tmp_path, ["a/1.png", "a/2.png", "b/3.png"])
    pictures = PictureFolder(tmp_path, labels="folders")
    before = pictures.fingerprint
    (tmp_path / "b/3.png").unlink()
    (tmp_path / "a/2.png").unlink()
    for _ in range(3):
        assert [(told(sample.image), sample.label) for sample in pictures] == [(0, 0)] * 3
    assert [(entry.path, entry.reason) for entry in pictures.broken] == [
        ("a/2.png", "it is not there"),
        ("b/3.png", "it is not there"),
    ]
    assert pictures.fingerprint == before
    (tmp_path / "a/1.png").unlink()
    with pytest.raises(TamingError, match=r"None of the 3 pictures can be read any more.*drive"):
        pictures[0]


@pytest.mark.skipif(os.name == "nt", reason="Windows has other permissions")
def test_a_folder_or_file_without_permission_is_listed_and_the_rest_is_used(open_folder):
    save(open_folder, ["a/1.png", "b/2.png", "3.png"])
    os.chmod(open_folder / "a", 0)
    os.chmod(open_folder / "3.png", 0)
    with an_ordinary_user():
        pictures = PictureFolder(open_folder)
        assert [told(sample.image) for sample in pictures] == [1]
    os.chmod(open_folder / "a", 0o755)
    assert {entry.path: entry.reason for entry in pictures.skipped} == {
        "a": "there is no permission to read it",
        "3.png": "there is no permission to read it",
    }


@pytest.mark.skipif(os.name == "nt", reason="Windows has other permissions")
def test_a_data_folder_that_may_not_be_entered_says_so(open_folder):
    save(open_folder, ["in/1.png"])
    os.chmod(open_folder / "in", 0)
    with an_ordinary_user(), pytest.raises(TamingError, match="no permission"):
        PictureFolder(open_folder / "in")
    os.chmod(open_folder / "in", 0o755)


@pytest.mark.skipif(os.name == "nt", reason="names on Windows are always text")
def test_names_of_any_letters_or_none_are_read_and_can_be_printed(tmp_path):
    save(tmp_path, ["with space.png", "\u9ce5 \u00e9t\u00e9.png"])
    raw = os.fsencode(tmp_path) + b"/\xff\xfe.png"
    Path(os.fsdecode(raw)).write_bytes(b"broken")
    pictures = PictureFolder(tmp_path)
    assert len(pictures) == 2
    assert pictures.skipped[0].path.encode("utf-8").startswith(b"\\udcff")


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_linked_folders_are_followed_and_a_link_back_does_not_go_round_for_ever(tmp_path):
    save(tmp_path, ["data/1.png", "elsewhere/2.png"])
    (tmp_path / "data/more").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "data/back").symlink_to(tmp_path / "data")
    assert sorted(told(sample.image) for sample in PictureFolder(tmp_path / "data")) == [0, 1]


def test_a_caption_that_is_no_text_is_listed_and_its_picture_used(tmp_path):
    save(tmp_path, ["a.png", "b.png"])
    (tmp_path / "a.txt").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "b.txt").write_text("  \n")
    pictures = PictureFolder(tmp_path)
    assert [sample.caption for sample in pictures] == [None, None]
    assert [skipped.path for skipped in pictures.skipped] == ["a.txt"]


def test_the_fingerprint_follows_what_training_sees_and_not_where_it_lies(tmp_path):
    save(tmp_path / "one", ["a/1.png", "b/2.png"])
    first = PictureFolder(tmp_path / "one")
    labeled = PictureFolder(tmp_path / "one", labels="folders")
    (tmp_path / "one").rename(tmp_path / "moved")
    assert PictureFolder(tmp_path / "moved").fingerprint == first.fingerprint != labeled.fingerprint
    (tmp_path / "moved/a/1.txt").write_text("a caption")
    captioned = PictureFolder(tmp_path / "moved").fingerprint
    os.utime(tmp_path / "moved/b/2.png", (1, 1))
    touched = PictureFolder(tmp_path / "moved").fingerprint
    assert len({first.fingerprint, captioned, touched}) == 3


def test_many_threads_read_the_same_pictures_as_one(tmp_path):
    save(tmp_path, [f"{number}.png" for number in range(30)])
    pictures = PictureFolder(tmp_path)
    (tmp_path / "7.png").unlink()
    order = [number % 30 for number in range(300)]
    with ThreadPoolExecutor(8) as pool:
        values = list(pool.map(lambda number: told(pictures[number].image), order))
    assert values == [8 if number == 7 else number for number in order]
    assert [entry.path for entry in pictures.broken] == ["7.png"]
