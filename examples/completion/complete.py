"""Completes a sentence with the model that train.py wrote: no torch, no coremltools.

python examples/completion/complete.py examples/completion/completion.mlmodel the cat
"""

from __future__ import annotations

import argparse
import sys

import numpy as np

import refcoreml


def main() -> int:
    options = argparse.ArgumentParser(description="Completes a sentence.")
    options.add_argument("model", help="the model that train.py wrote")
    options.add_argument("words", nargs="+", metavar="WORD", help="the first words of the sentence")
    arguments = options.parse_args()
    start = " ".join(arguments.words).split()
    try:
        model = refcoreml.load(arguments.model)
    except (OSError, refcoreml.RefCoreMLError) as error:
        options.error(str(error))
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
