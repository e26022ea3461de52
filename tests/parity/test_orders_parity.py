"""Reading orders: the same permutations as the reference's permuters."""

import pytest

from taming.checkpoints.permuters import ORDERS

SIZES = {"Subsample": [(8, 8), (16, 16)], "SpiralOut": [(2, 2), (16, 16)], "SpiralIn": [(2, 2), (16, 16)]}
ANY = [(4, 4), (16, 16), (3, 5)]


@pytest.mark.parametrize("target", [target for target in ORDERS if not target.endswith("Identity")])
def test_an_order_is_that_of_the_references_permuter(reference, target):
    name = target.rpartition(".")[2]
    for height, width in SIZES.get(name, ANY if name != "ZCurve" else ANY[:2]):
        expected = getattr(reference, name)(height, width).forward_shuffle_idx.tolist()
        assert list(ORDERS[target](height, width)) == expected
