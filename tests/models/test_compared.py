"""Comparing and studying real models."""

from __future__ import annotations

import numpy as np
import pytest
from support import shared_model

import refcoreml


@pytest.fixture
def digits(tmp_path):
    with np.load(shared_model("recorded/mnist/mnist_t10k_first1000.npz")) as archive:
        np.savez(tmp_path / "digits.npz", image=archive["images"], kind=archive["labels"])
    return tmp_path / "digits.npz"


def test_accuracy_and_agreement_on_a_thousand_digits(digits):
    """The accuracy is the one that the collection records; 8 bits are known to change next to nothing."""
    path = shared_model("nn/mnist_r4ghu_cnn_380k.mlmodel")
    found = refcoreml.study(path, digits, labels="kind", bits=(8,), modes=("linear",))
    (record,) = found.records
    assert record.full_accuracy == 0.989
    assert record.agreement >= 0.995
    assert record.agreement_tied == 0
    assert record.ratio < 0.27


def test_half_precision_layer_by_layer(digits):
    path = shared_model("nn/mnist_r4ghu_cnn_380k.mlmodel")
    with np.load(digits) as archive:
        samples = [{"image": image} for image in archive["image"][:10]]
    found = refcoreml.compare_layers(path, refcoreml.load(path, precision="float16"), samples)
    assert len(found.layers) == 14
    assert found.unmatched == []
    for row in found.layers:
        # Results rounded to 11 bits: an error of at most 2^-11 of each number, and of what is rounded before.
        assert row.own.snr > 60
        assert row.accumulated.snr > 50
    relus = [row for row in found.layers if row.kind == "activation"]
    assert all(row.accumulated.snr < row.own.snr for row in relus)
