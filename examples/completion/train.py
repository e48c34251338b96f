"""Sentence completion: a small transformer whose loop over tokens is part of the Core ML model.

    pip install -e ".[oracles]"
    python examples/completion/train.py                    # writes to ./completion, takes about a minute
    python examples/completion/complete.py completion/completion.mlmodel the cat

The transformer, one step from a window of tokens to the scores of the next, is traced; the loop around it, which ends
at a full stop, is scripted. coremltools converts both to one neural network with a loop layer.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import nn

import refcoreml
from refcoreml.spec import schema
from refcoreml.testing import assert_equivalent

TEXT = """
the cat sleeps on the warm roof .
the dog barks at the red moon .
a bird sings in the old tree .
the child draws a blue house .
my friend bakes bread in the morning .
the old clock stops at noon .
rain falls on the quiet town .
a train leaves the small station .
the cook salts the soup twice .
my neighbour waters her green garden .
the cat chases a grey mouse .
a fish swims under the stone bridge .
""".strip()
WORDS = ["<pad>", *sorted({word for word in TEXT.split() if word != "."}), "."]
STOP = len(WORDS) - 1
WINDOW, WIDTH, MOST = 10, 32, 8


def encode(text: str) -> list[int]:
    """Words to tokens; a word that the text does not have is a ValueError."""
    unknown = [word for word in text.split() if word not in WORDS]
    if unknown:
        raise ValueError(f"the vocabulary has no {unknown[0]!r}")
    return [WORDS.index(word) for word in text.split()]


def padded(tokens: list[int]) -> np.ndarray:
    """Return the last tokens, behind padding: [1, WINDOW]."""
    tokens = tokens[-WINDOW:]
    return np.array([[0] * (WINDOW - len(tokens)) + tokens], np.float32)


class Transformer(nn.Module):
    """Two blocks of causal attention; scores of the next word, from a window of tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(len(WORDS), WIDTH), nn.Parameter(torch.randn(WINDOW, WIDTH) * 0.1)
        self.norms = nn.ModuleList(nn.LayerNorm(WIDTH) for _ in range(4))
        self.mixers = nn.ModuleList(nn.Linear(WIDTH, 3 * WIDTH) for _ in range(2))
        self.wide = nn.ModuleList(nn.Linear(WIDTH, 2 * WIDTH) for _ in range(2))
        self.narrow = nn.ModuleList(nn.Linear(2 * WIDTH, WIDTH) for _ in range(2))
        self.scores = nn.Linear(WIDTH, len(WORDS))
        self.register_buffer("mask", torch.full((WINDOW, WINDOW), -1e4).triu(1))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.words(tokens) + self.places
        for i in range(2):
            q, k, v = self.mixers[i](self.norms[2 * i](x)).chunk(3, -1)
            q, k, v = (t.reshape(-1, WINDOW, 2, WIDTH // 2).permute(0, 2, 1, 3) for t in (q, k, v))
            weights = torch.softmax(q @ k.transpose(-1, -2) * (WIDTH // 2) ** -0.5 + self.mask, -1)
            x = x + (weights @ v).permute(0, 2, 1, 3).reshape(-1, WINDOW, WIDTH)
            x = x + self.narrow[i](torch.relu(self.wide[i](self.norms[2 * i + 1](x))))
        return self.scores(x[:, -1])


class Completion(nn.Module):
    """The scripted loop: predicts the next word until it is a full stop, at most MOST times.

    From tokens [1, WINDOW], as floats, to (the last WINDOW tokens, the last scores, the number of words added).
    """

    __constants__ = ("stop", "most")

    def __init__(self, step: nn.Module) -> None:
        super().__init__()
        self.step, self.stop, self.most = step, float(STOP), float(MOST)
        # Moves the window on by a place: the converter takes the result of a concatenation for a shape in the making.
        self.register_buffer("shift", torch.diag(torch.ones(WINDOW - 1), -1))
        self.register_buffer("last", torch.eye(WINDOW)[-1:])

    def forward(self, tokens: torch.Tensor):
        scores = self.step(tokens)
        word = torch.argmax(scores, 1, keepdim=True).type_as(tokens)
        tokens = torch.matmul(tokens, self.shift) + word * self.last
        count = tokens[:, :1] * 0.0 + 1.0  # a loop variable that starts as a constant is more than the converter takes
        while bool((word.sum() != self.stop) & (count.sum() < self.most)):
            scores = self.step(tokens)
            word = torch.argmax(scores, 1, keepdim=True).type_as(tokens)
            tokens = torch.matmul(tokens, self.shift) + word * self.last
            count = count + 1.0
        return tokens, scores, count


class Step(nn.Module):
    """The transformer on tokens that are floats, as blobs are."""

    def __init__(self, network: Transformer) -> None:
        super().__init__()
        self.network = network

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.network(tokens.long())


def train(steps: int, seed: int = 0) -> Transformer:
    torch.manual_seed(seed)
    network = Transformer()
    pairs = []
    for line in TEXT.splitlines():
        tokens = encode(line)
        pairs += [(padded(tokens[:i])[0], tokens[i]) for i in range(1, len(tokens))]
    x = torch.from_numpy(np.stack([window for window, _ in pairs])).long()
    y = torch.tensor([word for _, word in pairs])
    optimizer = torch.optim.Adam(network.parameters(), 3e-3)
    for _ in range(steps):
        loss = nn.functional.cross_entropy(network(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return network.eval()


def convert(network: Transformer) -> schema.Model:
    """Return one neural network with the loop inside."""
    import coremltools as ct

    sample = torch.from_numpy(padded(encode("the cat")))
    body = torch.jit.trace(Step(network).eval(), sample)
    program = torch.jit.script(Completion(body).eval())
    tokens = ct.TensorType(name="tokens", shape=(1, WINDOW))
    outputs = [ct.TensorType(name=name) for name in ("completed", "scores", "count")]
    spec = refcoreml.load(ct.convert(program, convert_to="neuralnetwork", inputs=[tokens], outputs=outputs)).spec
    spec.description.metadata.userDefined["words"] = " ".join(WORDS)
    return spec


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", default=Path("completion"))
    parser.add_argument("--steps", type=int, default=250)
    options = parser.parse_args()
    network = train(options.steps)
    spec = convert(network)
    model = refcoreml.load(spec)
    reference = Completion(Step(network)).eval().requires_grad_(False)
    for start in ("the cat", "a bird sings", "my", "rain", "the old"):
        tokens = padded(encode(start))
        wanted = reference(torch.from_numpy(tokens))[0].numpy()
        completed = model.predict({"tokens": tokens})["completed"]
        assert np.array_equal(completed, wanted), "not the tokens of torch"
        report = assert_equivalent(spec, reference, {"tokens": tokens})
        words = [WORDS[int(token)] for token in completed[0] if token]
        print(f"{start} -> {' '.join(words)}   (as torch, scores within {report.double:.1e})")
    options.folder.mkdir(parents=True, exist_ok=True)
    model.save(options.folder / "completion.mlmodel")


if __name__ == "__main__":
    main()
