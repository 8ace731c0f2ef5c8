"""The public evaluator's numbers, and the golden ones of the corrected protocol, to 1e-9."""

import numpy as np
import pytest
from metric_cases import GOLDEN, REFERENCE_NAMES, different, evaluated, golden

from streamavis.metrics import SUMMARY


@pytest.fixture(params=GOLDEN)
def case(request, tmp_path):
    name = request.param
    return name, evaluated(tmp_path, golden(name, "gt"), golden(name, "pred"))


def test_official_summary(case):
    name, found = case
    reference = golden(name, "expected")["reference"]["summary"]
    expected = {key: reference[REFERENCE_NAMES.get(key, key)] for key in SUMMARY}
    assert not different(found.official.summary, expected)
    assert found.official_error is None


def test_corrected_summary(case):
    name, found = case
    assert not different(found.corrected.summary, golden(name, "corrected"))


def test_official_curves(case):
    name, found = case
    expected = golden(name, "expected")["reference"]["fsla"]
    assert np.allclose(found.official.thresholds, expected["alphas"], rtol=0, atol=0)
    for key, curve in found.official.curves.items():
        values = np.array(expected["all"][REFERENCE_NAMES[key]], float)
        assert np.allclose(curve, values, rtol=0, atol=1e-11, equal_nan=True), key


def test_official_classes(case):
    name, found = case
    expected = golden(name, "expected")["reference"]["hota"]["per_class_mean"]
    for label, scores in found.official.classes.items():
        for key in ("HOTA", "DetA", "AssRe", "LocA"):
            assert scores[key] == pytest.approx(100 * expected[label][key], abs=1e-9)
    left_out = set(expected) - set(found.official.classes)
    assert all(expected[label]["HOTA_FN"] == expected[label]["HOTA_FP"] == 0 for label in left_out)
