"""A language model with its cache as states: trained, converted to an ML Program, its weights stored in 4 bits.

    pip install -e ".[oracles]"
    python examples/completion/train_decoder.py             # writes to ./decoder; takes ten to fifteen minutes
    python examples/completion/generate.py "The array" --model decoder/decoder.mlpackage

It learns from the documentation of scikit-learn, SciPy and NumPy, see corpus.py; `--steps 20` is a quick try.
At the end it measures what each form of the model loses on text that it did not learn from.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import corpus
import numpy as np
import torch
from generate import scores_of
from rich.progress import track
from tokenizer import END, Tokenizer, learn
from torch import nn
from torch.nn import functional

import refcoreml

PIECES, CONTEXT, LAYERS, HEADS, WIDTH = 1024, 128, 4, 4, 128
BATCH, RATE = 4, 2.5e-3
#: The standard deviation of weights before training.
STD = 0.06
#: Windows of held-out text that are measured.
WINDOWS = 100


class Block(nn.Module):
    """Attention, and two linear layers, each of which adds to what it reads."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.mix, self.join = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.wide, self.narrow = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)

    def parts(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return queries, keys and values, [batch, HEADS, length, WIDTH / HEADS]."""
        found = self.mix(self.first(x)).unflatten(-1, (3, HEADS, WIDTH // HEADS)).permute(2, 0, 3, 1, 4)
        return found[0], found[1], found[2]

    def rest(self, x: torch.Tensor, attended: torch.Tensor) -> torch.Tensor:
        x = x + self.join(attended.transpose(1, 2).flatten(2))
        return x + self.narrow(functional.gelu(self.wide(self.second(x))))


class Decoder(nn.Module):
    """From tokens [batch, length] to the scores of the token after each of them, [batch, length, PIECES]."""

    def __init__(self, layers: int = LAYERS) -> None:
        super().__init__()
        self.pieces, self.places = nn.Embedding(PIECES, WIDTH), nn.Embedding(CONTEXT, WIDTH)
        self.blocks = nn.ModuleList(Block() for _ in range(layers))
        self.last, self.scores = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, PIECES, bias=False)
        self.scores.weight = self.pieces.weight
        for name, weight in self.named_parameters():
            if weight.dim() == 2:
                scale = (2 * layers) ** -0.5 if name.endswith(("join.weight", "narrow.weight")) else 1
                nn.init.normal_(weight, std=STD * scale)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.pieces(tokens) + self.places.weight[: tokens.shape[1]]
        for block in self.blocks:
            x = block.rest(x, functional.scaled_dot_product_attention(*block.parts(x), is_causal=True))
        return self.scores(self.last(x))


class Cached(nn.Module):
    """The decoder on the next tokens of a text, [1, n], at places [1, n]: what is before them is in the cache."""

    def __init__(self, decoder: Decoder) -> None:
        super().__init__()
        self.decoder = decoder
        shape = (len(decoder.blocks), HEADS, CONTEXT, WIDTH // HEADS)
        self.register_buffer("keys", torch.zeros(shape))
        self.register_buffer("values", torch.zeros(shape))
        self.register_buffer("all", torch.arange(CONTEXT, dtype=torch.int32))

    def forward(self, tokens: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        x = self.decoder.pieces(tokens) + self.decoder.places(places)
        seen = (places[0, :, None] >= self.all)[None, None]
        begin = places[0, 0]
        end = begin + tokens.shape[1]
        for index, block in enumerate(self.decoder.blocks):
            queries, keys, values = block.parts(x)
            self.keys[index, :, begin:end] = keys[0]
            self.values[index, :, begin:end] = values[0]
            cache = self.keys[index : index + 1], self.values[index : index + 1]
            x = block.rest(x, functional.scaled_dot_product_attention(queries, *cache, attn_mask=seen))
        return self.decoder.scores(self.decoder.last(x))


def windows(tokens: Sequence[int]) -> np.ndarray:
    """Return tokens as windows of a context and the token after it."""
    count = (len(tokens) - 1) // CONTEXT
    return np.stack([tokens[i * CONTEXT : (i + 1) * CONTEXT + 1] for i in range(count)])


def train(tokens: Sequence[int], steps: int, seed: int = 0) -> Decoder:
    """Train on windows that begin anywhere; prints the mean loss of each hundred steps."""
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    decoder, text = Decoder(), torch.tensor(tokens)
    optimizer = torch.optim.AdamW(decoder.parameters(), RATE, betas=(0.9, 0.98), weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps, pct_start=0.05)
    losses: list[float] = []
    begun = time.monotonic()
    for step in track(range(1, steps + 1), "training", disable=not sys.stderr.isatty()):
        at = torch.randint(len(text) - CONTEXT, (BATCH, 1)) + torch.arange(CONTEXT + 1)
        loss = _loss(decoder, text[at])
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(decoder.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        if step % 100 == 0:
            print(f"step {step}: loss {np.mean(losses[-100:]):.3f}, {time.monotonic() - begun:.0f} s", flush=True)
    return decoder.eval()


def _loss(decoder: Decoder, window: torch.Tensor) -> torch.Tensor:
    return functional.cross_entropy(decoder(window[:, :-1]).reshape(-1, PIECES), window[:, 1:].reshape(-1))


def convert(decoder: Decoder, pieces: Sequence[str], precision: str = "FLOAT16") -> Any:
    """Return the decoder as an ML Program of coremltools, with its cache as two states."""
    import coremltools as ct

    cached = Cached(decoder).eval()
    example = torch.tensor([[1, 2, 3]], dtype=torch.int32), torch.tensor([[0, 1, 2]], dtype=torch.int32)
    traced = torch.jit.trace(cached, example, check_trace=False)
    shape = (1, ct.RangeDim(1, CONTEXT, default=1))
    state = tuple(cached.keys.shape)
    model = ct.convert(
        traced,
        inputs=[ct.TensorType(name, shape, dtype=np.int32) for name in ("tokens", "places")],
        outputs=[ct.TensorType("scores", dtype=np.float32)],
        states=[ct.StateType(ct.TensorType(shape=state, dtype=np.float16), name) for name in ("keys", "values")],
        minimum_deployment_target=ct.target.iOS18,
        compute_precision=getattr(ct.precision, precision),
        skip_model_load=True,
    )
    model.user_defined_metadata["pieces"] = json.dumps(list(pieces))
    model.short_description = "Completes a sentence about arrays, statistics or learning machines."
    return model


def forms(model: Any) -> dict[str, Any]:
    """Return a converted model in 4 bits, in several ways."""
    import coremltools.optimize.coreml as optimize

    tables = {"granularity": "per_grouped_channel", "group_size": 16}
    palettes = {"": {}, ", one for 16 rows": tables}
    made = {}
    for name, options in palettes.items():
        config = optimize.OptimizationConfig(optimize.OpPalettizerConfig("kmeans", nbits=4, **options))
        made[f"4 bits, palette{name}"] = optimize.palettize_weights(model, config)
    linear = optimize.OpLinearQuantizerConfig("linear_symmetric", dtype="int4", granularity="per_block", block_size=32)
    made["4 bits, linear, blocks of 32"] = optimize.linear_quantize_weights(model, optimize.OptimizationConfig(linear))
    return made


def measure(model: refcoreml.Model, text: np.ndarray) -> float:
    """Return the mean loss of a model, in nats for each token, on windows of text."""
    losses = []
    for window in track(text, "measuring", disable=not sys.stderr.isatty(), transient=True):
        scores = scores_of(model, model.make_state(), window[:-1].tolist(), 0).astype(np.float64)
        scores -= scores.max(-1, keepdims=True)
        losses.append(np.mean(np.log(np.exp(scores).sum(-1)) - scores[np.arange(len(scores)), window[1:]]))
    return float(np.mean(losses))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", default=Path("decoder"), help="where to write (./decoder)")
    parser.add_argument("--steps", type=int, default=2600, help="of training (2600)")
    parser.add_argument("--seed", type=int, default=0, help="of weights and windows (0)")
    parser.add_argument("--weights", type=Path, help="convert and measure these, a decoder.pt, instead of training")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)

    texts = corpus.read()
    learned, held = ("".join(END + paragraph for paragraph in part) + END for part in texts)
    tokenizer = Tokenizer(learn(learned, PIECES))
    tokens, rest = tokenizer.encode(learned), tokenizer.encode(held)
    print(f"{corpus.origin(texts)}; {len(tokens):,} tokens, {len(rest):,} held out")
    if options.weights:
        decoder = Decoder().eval()
        decoder.load_state_dict(torch.load(options.weights, weights_only=True))
    else:
        decoder = train(tokens, options.steps, options.seed)
        torch.save(decoder.state_dict(), options.folder / "decoder.pt")

    text = windows(rest)[:WINDOWS]
    with torch.no_grad():
        loss = float(_loss(decoder, torch.from_numpy(text)))
    characters = len(tokenizer.decode(text[:, 1:].ravel())) / text[:, 1:].size
    print(f"{sum(weight.numel() for weight in decoder.parameters()):,} weights, {characters:.2f} characters in a token")
    report("torch, fp32", loss, characters)
    half = convert(decoder, tokenizer.pieces)
    for name, model in {"fp32": convert(decoder, tokenizer.pieces, "FLOAT32"), "fp16": half, **forms(half)}.items():
        path = options.folder / f"{name.replace(', ', '-').replace(' ', '-')}.mlpackage"
        model.save(str(path))
        report(name, measure(refcoreml.load(path), text), characters, path)
    chosen = options.folder / "decoder.mlpackage"
    refcoreml.load(path).save(chosen)  # the last one, linear
    print(f"wrote {chosen}")


def report(name: str, loss: float, characters: float, path: Path | None = None) -> None:
    size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) if path else 0
    bits = loss / math.log(2) / characters
    print(f"{name:32} {size:9,} bytes  loss {loss:.4f}  perplexity {math.exp(loss):6.2f}  bits a character {bits:.4f}")


if __name__ == "__main__":
    main()
