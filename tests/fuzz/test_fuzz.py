"""A short run of every fuzz target; the long one is `make fuzz`."""

from random import Random

import pytest
from fuzz_targets import TARGETS

ATTEMPTS = {"wire": 1_500, "session": 100, "annotations": 120, "weights": 30, "keys": 150}


@pytest.mark.parametrize("name", TARGETS)
def test_no_mutant_ends_in_an_error_that_is_not_documented(name, tmp_path):
    target = TARGETS[name](tmp_path)
    random = Random(0)
    for _ in range(ATTEMPTS[name]):
        target.attempt(target.mutant(random))
