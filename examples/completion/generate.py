"""Completes a sentence token by token, with a language model that keeps what it has read as states.

It needs refcoreml alone. The model that is used by default was written by train_decoder.py.

examples:
  python examples/completion/generate.py "The array"
  python examples/completion/generate.py "Return the" --temperature 0.8 --seed 3
  python examples/completion/generate.py "If True, the" --time
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
from tokenizer import Tokenizer

import refcoreml

MODEL = Path(__file__).resolve().parent / "decoder.mlpackage"


def tokenizer_of(model: refcoreml.Model) -> Tokenizer:
    """Return the tokenizer of a model, whose pieces are in its metadata; a ValueError if there are none."""
    pieces = model.spec.description.metadata.userDefined["pieces"]
    if not pieces:
        raise ValueError(f"{model.name} has no tokens in its metadata: train_decoder.py writes packages that have")
    return Tokenizer(json.loads(pieces))


def context_of(model: refcoreml.Model) -> int:
    """Return how many tokens the states of a model have room for."""
    return int(model.states[0].default_shape[2])


def scores_of(model: refcoreml.Model, state: refcoreml.State, tokens: list[int], place: int) -> np.ndarray:
    """Return the scores of the token after each of some, [n, pieces], of which the first has a place in the text.

    The state has what is before it, and afterwards also these tokens.
    """
    places = np.arange(place, place + len(tokens), dtype=np.int32)
    inputs = {"tokens": np.array([tokens], np.int32), "places": places[None]}
    found: np.ndarray = model.predict(inputs, state=state)["scores"][0]
    return found


def choose(scores: np.ndarray, temperature: float, top: int, rng: np.random.Generator) -> int:
    """Return the token with the highest score or, with a temperature, one by chance of the ``top`` best."""
    if not temperature:
        return int(scores.argmax())
    best = np.argsort(-scores, kind="stable")[:top]
    with np.errstate(over="ignore"):  # by a temperature near 0
        weights = np.exp((scores[best] - scores[best[0]]).astype(np.float64) / temperature)
    return int(rng.choice(best, p=weights / weights.sum()))


def generate(
    model: refcoreml.Model, tokens: list[int], temperature: float = 0, top: int = 40, seed: int = 0
) -> Iterator[int]:
    """Yield the tokens after some until the states are full.

    The first prediction reads all that is given, each of the others one token.
    """
    state, room, rng = model.make_state(), context_of(model), np.random.default_rng(seed)
    new, place = tokens, 0
    while place + len(new) <= room:
        token = choose(scores_of(model, state, new, place)[-1], temperature, top, rng)
        yield token
        place, new = place + len(new), [token]


def parser() -> argparse.ArgumentParser:
    description, _, examples = (__doc__ or "").partition("\nexamples:\n")
    options = argparse.ArgumentParser(
        description=description, epilog=f"examples:\n{examples}", formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("text", help="the beginning of a sentence")
    options.add_argument("--tokens", type=int, default=128, metavar="N", help="end after so many (128)")
    options.add_argument("--temperature", type=float, default=0, metavar="T", help="0 takes the best token (default)")
    options.add_argument("--top", type=int, default=40, metavar="K", help="choose among the best K (40)")
    options.add_argument("--seed", type=int, default=0, help="of chance, with a temperature (0)")
    options.add_argument("--time", action="store_true", help="say how long the tokens took")
    options.add_argument("--model", type=Path, default=MODEL, help="a package that train_decoder.py wrote")
    return options


def main() -> int:
    """Print the text, and each piece as soon as it is there."""
    options = parser()
    arguments = options.parse_args()
    if not arguments.text.strip():
        options.error("the text is empty")
    for name, least in {"tokens": 1, "temperature": 0, "top": 1, "seed": 0}.items():
        if not least <= getattr(arguments, name) < math.inf:
            options.error(f"--{name} is {getattr(arguments, name)}, expected a number of at least {least}")
    try:
        model = refcoreml.load(arguments.model)
        tokenizer = tokenizer_of(model)
        tokens = [tokenizer.end, *tokenizer.encode(arguments.text)]
    except (OSError, ValueError, refcoreml.RefCoreMLError) as error:
        options.error(str(error))
    if len(tokens) > context_of(model):
        options.error(f"the text has {len(tokens)} tokens, and the model has room for {context_of(model)}")

    print(arguments.text, end="", flush=True)
    moments = [time.perf_counter()]
    written = generate(model, tokens, arguments.temperature, arguments.top, arguments.seed)
    for token in islice(written, arguments.tokens):
        moments.append(time.perf_counter())
        if token == tokenizer.end:
            break
        print(tokenizer.pieces[token], end="", flush=True)
    print()
    if arguments.time:
        first, *others = np.diff(moments) * 1000
        each = f", then {np.median(others):.1f} ms for each of {len(others)}" if others else ""
        print(f"the first token after {first:.0f} ms{each}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BrokenPipeError:  # the reader has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        sys.exit(130)
