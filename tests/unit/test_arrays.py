"""Arrays as training data: any sizes, told apart by content, refused where they are no pictures."""

import numpy as np
import pytest

from photos import photo, told
from taming.data import ArrayDataset
from taming.errors import TamingError


def test_arrays_of_one_or_many_sizes_are_data():
    stack = np.stack([np.array(photo(value)) for value in range(3)])
    several = [np.array(photo(3)), np.array(photo(4, (90, 33)))]
    data = ArrayDataset(stack, labels=[1, 0, 1], captions=["x", "y", "z"], class_names=("no", "yes"))
    assert [(told(s.image), s.label, s.caption) for s in data] == [(0, 1, "x"), (1, 0, "y"), (2, 1, "z")]
    assert [sample.image.shape for sample in ArrayDataset(several)] == [(40, 48, 3), (33, 90, 3)]


def test_the_fingerprint_of_arrays_is_their_content():
    def stack():
        return np.stack([np.array(photo(value)) for value in range(3)])

    changed = stack()
    changed[2, 39, 47, 2] += 1
    same = ArrayDataset(stack()).fingerprint
    assert ArrayDataset(list(stack())).fingerprint == same
    others = [
        ArrayDataset(changed),
        ArrayDataset(stack().reshape(3, 48, 40, 3)),
        ArrayDataset(stack(), labels=[0, 0, 0]),
        ArrayDataset(stack(), captions=["a", "b", "\u00e9"]),
    ]
    assert len({same, *(other.fingerprint for other in others)}) == 5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"images": []}, "no pictures"),
        ({"images": np.zeros((2, 8, 8, 3), np.float32)}, "float32.*uint8"),
        ({"images": [np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8), np.uint8)]}, r"Picture 2.*\(8, 8\)"),
        ({"images": np.zeros((2, 8, 8, 3), np.uint8), "labels": [1]}, "2 pictures and 1 labels"),
        ({"images": np.zeros((2, 8, 8, 3), np.uint8), "captions": ["a"] * 3}, "2 pictures and 3 captions"),
        ({"images": np.zeros((2, 8, 8, 3), np.uint8), "labels": [0, 2], "class_names": ("a", "b")}, "0 to 2.*2 class"),
        ({"images": np.zeros((2, 8, 8, 3), np.uint8), "labels": [0, -1]}, "-1 to 0"),
    ],
)
def test_arrays_that_are_no_pictures_are_refused(arguments, message):
    with pytest.raises(TamingError, match=message):
        ArrayDataset(**arguments)
