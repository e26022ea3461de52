"""Names that every system can have, places that links lead to, and nothing that is there written over."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from taming.errors import TamingError
from taming.file_names import (
    MAX_NAME_BYTES,
    check_free,
    check_name,
    check_new_folder,
    folder_below,
    mend_name,
    name_of_text,
    path_below,
    written_at_once,
)

PLACE = "ComfyUI's output folder"
WRONG = {
    "": "the name is empty",
    "  ": "the name is empty",
    ".": "nothing but dots",
    "..": "nothing but dots",
    "...": "nothing but dots",
    ". .": "nothing but dots",
    "con": "a device on Windows",
    "CON": "a device on Windows",
    "nul.txt": "a device on Windows",
    "Aux.tar.gz": "a device on Windows",
    "com1": "a device on Windows",
    "LPT9.log": "a device on Windows",
    "com\u00b9": "a device on Windows",
    "nul .txt": "a device on Windows",
    "a:b": "':'",
    "what?": "'?'",
    'the "best"': "'\"'",
    "a<b": "'<'",
    "a|b": "'|'",
    "*": "'*'",
    "a\nb": "forbid",
    "a\0b": "forbid",
    "a\x1bb": "forbid",
    "half \ud83d": "forbid",
    "cats.": "ends with a dot",
    "cats ": "ends with a space",
    " cats": "begins or ends with a space",
    "x" * 201: "takes 201 bytes",
    "\u00e9" * 101: "takes 202 bytes",
}
RIGHT = [
    "cats",
    "my cats.v2",
    ".hidden",
    "\u00e9t\u00e9",
    "\u9ad8\u5c71",
    "\U0001f600",
    "console",
    "nullable.txt",
    "com10",
]
ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=300)  # halves of characters too


not_windows = pytest.mark.skipif(sys.platform == "win32", reason="Windows lets few users make links, and no such names")


def is_accepted(name: str) -> bool:
    try:
        check_name(name)
    except TamingError:
        return False
    return True


@pytest.mark.parametrize(("name", "words"), WRONG.items(), ids=ascii)
def test_a_name_that_some_system_cannot_have_is_refused_in_words(name: str, words: str):
    with pytest.raises(TamingError) as refused:
        check_name(name)
    assert words in str(refused.value) and str(refused.value).isascii() and len(str(refused.value)) < 250


@pytest.mark.parametrize("name", RIGHT, ids=ascii)
def test_a_name_that_every_system_can_have_is_accepted_and_stays(name: str):
    check_name(name)
    assert mend_name(name) == name


@given(ANY_TEXT)
@example("con")
@example("nul." + "x" * MAX_NAME_BYTES)
@example("\u00e9" * 150)
@example(" . ")
@example("x" * 199 + ". ")
def test_any_name_is_mended_and_one_that_is_accepted_is_not_changed(name: str):
    check_name(mend_name(name))
    assert mend_name(name) == name or not is_accepted(name)


@given(ANY_TEXT)
def test_any_accepted_name_can_be_a_file_here(tmp_path_factory: pytest.TempPathFactory, name: str):
    if is_accepted(name):
        path = tmp_path_factory.mktemp("names") / f"{name}_00001_vqgan.safetensors"
        path.touch()
        assert [file.name for file in path.parent.iterdir()] == [path.name]


@given(ANY_TEXT)
def test_a_file_about_any_text_has_a_name_with_a_number(text: str):
    check_name(f"{name_of_text(text)}_18446744073709551615_0.png")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("alpine", "alpine"),
        ("cat, 2", "cat-2"),
        ("a red boat", "a-red-boat"),
        ("\u00e9t\u00e9", "\u00e9t\u00e9"),
        ("e\u0301te\u0301", "\u00e9t\u00e9"),
        ("\u0939\u093f\u0928\u094d\u0926\u0940", "\u0939\u093f\u0928\u094d\u0926\u0940"),
    ],
)
def test_a_file_about_plain_words_is_called_by_them(text: str, name: str):
    assert name_of_text(text) == name


def test_files_about_other_labels_have_other_names():
    """Of labels in other letters than English ones only those were left, or nothing."""
    labels = [
        "\u00e9t\u00e9",
        "\u00f4t\u00f4",
        "t",
        "\u9ad8\u5c71",
        "\u6d77",
        "\U0001f600",
        "\U0001f60e",
        "C",
        "C++",
        "C#",
    ]
    labels += ["a/b", "a:b", "a\\b", "cats", "cats,", "cats!", "...", "?", "3", "3.0", "boat " * 8, "boat " * 9]
    assert len({name_of_text(label).lower() for label in labels}) == len(labels)


def test_a_name_below_a_folder_may_have_folders_of_its_own(tmp_path: Path):
    for name in ("mine/cats", "mine\\cats", "./mine//cats", "mine/cats/", str(tmp_path / "mine" / "cats")):
        assert path_below(tmp_path, name, PLACE) == folder_below(tmp_path, name, PLACE) == tmp_path / "mine" / "cats"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "name",
    ["", " ", ".", "./", "/", "..", "a/../../b", "a/..", "/elsewhere", "\\\\server\\share", "a/.../b", "a /b", "a/con"],
)
def test_a_name_that_is_not_below_the_folder_or_wrong_in_any_part_is_refused(tmp_path: Path, name: str):
    with pytest.raises(TamingError):
        path_below(tmp_path, name, PLACE)


@not_windows
def test_the_folder_itself_is_no_name_below_it(tmp_path: Path):
    with pytest.raises(TamingError, match="is no name below ComfyUI's output folder"):
        folder_below(tmp_path, str(tmp_path), PLACE)
    (tmp_path / "self").symlink_to(tmp_path, target_is_directory=True)
    with pytest.raises(TamingError, match="'self' is a link to ComfyUI's output folder itself"):
        folder_below(tmp_path, "self", PLACE)


def test_a_path_that_is_too_long_is_refused(tmp_path: Path):
    with pytest.raises(TamingError, match=r"a path of \d+ characters. Choose a shorter name"):
        path_below(tmp_path, "/".join(["x" * 190] * 30), PLACE)


@not_windows
def test_a_link_is_followed_and_one_to_nowhere_or_a_file_in_the_way_is_named(tmp_path: Path):
    """A linked folder was said not to be below the output folder."""
    root, disk = tmp_path / "output", tmp_path / "disk"
    root.mkdir()
    disk.mkdir()
    (root / "linked").symlink_to(disk, target_is_directory=True)
    (root / "broken").symlink_to(tmp_path / "unplugged", target_is_directory=True)
    (root / "circle").symlink_to(root / "circle")
    (root / "notes.txt").touch()
    assert folder_below(root, "linked/run", PLACE).resolve() == disk / "run"
    assert folder_below(root, "linked", PLACE).resolve() == disk
    for name in ("broken", "broken/run"):
        with pytest.raises(TamingError, match=r"broken is a link to .*unplugged, which is not there"):
            folder_below(root, name, PLACE)
    with pytest.raises(TamingError, match="circle is a link to"):
        folder_below(root, "circle/run", PLACE)
    with pytest.raises(TamingError, match=r"notes.txt is a file, not a folder"):
        folder_below(root, "notes.txt/run", PLACE)


@not_windows
def test_only_what_is_not_there_yet_of_a_folder_needs_a_name_for_every_system(tmp_path: Path):
    (tmp_path / "10:30").mkdir()
    check_new_folder(tmp_path / "10:30" / "new" / ".." / "newer")
    with pytest.raises(TamingError, match="'a:b' has ':'"):
        check_new_folder(tmp_path / "10:30" / "a:b" / "c")


@not_windows
def test_what_is_there_is_told_before_anything_is_written(tmp_path: Path):
    paths = [tmp_path / name for name in "abc"]
    check_free(paths, "Do this.")
    paths[1].touch()
    with pytest.raises(TamingError, match=r"b is there already, and nothing is overwritten\. Do this\."):
        check_free(paths, "Do this.")
    paths[2].symlink_to(tmp_path / "nowhere")
    with pytest.raises(TamingError, match=r"b and 1 more are there already"):
        check_free(paths, "Do this.")


def test_a_file_is_there_whole_or_not_at_all(tmp_path: Path):
    path = tmp_path / "result.txt"
    with pytest.raises(OSError, match="full"), written_at_once(path, overwrite=False) as file:
        file.write_text("half")
        raise OSError("the disk is full")
    assert list(tmp_path.iterdir()) == []
    with written_at_once(path, overwrite=False) as file:
        file.write_text("whole")
        assert not path.exists() and file.suffix == ".txt"
    assert path.read_text() == "whole" and os.listdir(tmp_path) == [path.name]


def test_a_file_that_came_meanwhile_is_not_written_over(tmp_path: Path):
    path = tmp_path / "result.txt"
    with pytest.raises(TamingError, match="another program"), written_at_once(path, overwrite=False) as file:
        file.write_text("ours")
        path.write_text("theirs")
    assert path.read_text() == "theirs" and os.listdir(tmp_path) == [path.name]
    with written_at_once(path, overwrite=True) as file:
        file.write_text("ours")
    assert path.read_text() == "ours"
