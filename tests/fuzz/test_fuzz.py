"""A short run of every fuzz target; the long one is `make fuzz`."""

from random import Random

import pytest
from fuzz_targets import TARGETS, corpus

ATTEMPTS = {"wire": 1_500, "session": 100, "annotations": 120, "weights": 30, "keys": 150}
ATTEMPTS |= {"jpeg": 150, "web": 300}


@pytest.mark.parametrize("name", TARGETS)
def test_no_mutant_ends_in_an_error_that_is_not_documented(name, tmp_path):
    target = TARGETS[name](tmp_path)
    random = Random(0)
    for _ in range(ATTEMPTS[name]):
        target.attempt(target.mutant(random))


@pytest.mark.parametrize("name", TARGETS)
def test_the_corpus_ends_in_no_error_that_is_not_documented(name, tmp_path):
    target = TARGETS[name](tmp_path)
    for data in corpus(name):
        target.attempt(data)


def test_each_reader_of_outside_bytes_has_a_target():
    wanted = {"wire", "session", "annotations", "weights", "keys", "jpeg", "web"}
    assert TARGETS.keys() == ATTEMPTS.keys() == wanted
