"""A gesture classifier, trained and evaluated on sensor data by Turi Create: every cell of its table must agree."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
import pytest
from support import shared_model

import refcoreml

WINDOW, RESET = 20, 400


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_confusion_matrix(precision):
    """29,885 samples in windows of 20; the LSTM's state goes from window to window, and is reset every 400 samples."""
    model = refcoreml.load(shared_model("nn/gesture_lstm_turi.mlmodel"), precision=precision)
    recorded = json.loads(shared_model("recorded/gesture/recorded_confusion.json").read_text())
    data = np.load(shared_model("recorded/gesture/gesture_test_u05.npz"))
    names, sessions = data["activity_names"], data["session"]
    confusion = Counter()
    for session in np.unique(sessions):
        samples, truth = data["features"][sessions == session], names[data["activity"][sessions == session]]
        for start in range(0, len(samples), WINDOW):
            part = samples[start : start + WINDOW]
            window = np.zeros((1, WINDOW, 6))
            window[0, : len(part)] = part
            if start % RESET == 0:
                states = {}
            result = model.predict({"features": window, **states})
            states = {"hiddenIn": result["hiddenOut"], "cellIn": result["cellOut"]}
            confusion.update(f"{label}>{result['activity']}" for label in truth[start : start + WINDOW])
    assert sum(confusion.values()) == 29885
    assert dict(confusion) == recorded["confusion"]
    right = sum(count for cell, count in confusion.items() if len(set(cell.split(">"))) == 1)
    assert right / 29885 == pytest.approx(recorded["accuracy"], abs=1e-15)
