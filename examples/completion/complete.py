"""Completes a sentence with the model that train.py wrote: no torch, no coremltools.

python examples/completion/complete.py completion/completion.mlmodel the cat
"""

from __future__ import annotations

import sys

import numpy as np

import refcoreml


def main() -> int:
    path, *start = sys.argv[1:]
    model = refcoreml.load(path)
    words = model.spec.description.metadata.userDefined["words"].split(" ")
    unknown = [word for word in start if word not in words]
    if unknown or not start:
        print(f"the model knows these words only: {' '.join(words[1:])}", file=sys.stderr)
        return 2
    window = model.inputs[0].default_shape[1]
    tokens = [words.index(word) for word in start][-window:]
    tokens = np.array([[0] * (window - len(tokens)) + tokens], np.float32)
    completed = model.predict({"tokens": tokens})["completed"][0]
    print(" ".join(words[int(token)] for token in completed if token))
    return 0


if __name__ == "__main__":
    sys.exit(main())
