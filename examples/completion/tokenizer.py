"""Text as tokens, and back: pieces of words, learned from the pairs of characters that are most frequent."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import pairwise

#: The piece that ends a paragraph, and stands before the first one.
END = "\n"
#: What a piece never reaches beyond: a word with the space before it, a digit, one other character.
WORD = re.compile(r" ?[A-Za-z]+| ?[^A-Za-z]")


class Tokenizer:
    """Tokens are places in a list of pieces; a text is cut into the longest piece that it starts with, and so on."""

    def __init__(self, pieces: Sequence[str]) -> None:
        self.pieces = list(pieces)
        self._tokens = {piece: token for token, piece in enumerate(self.pieces)}
        self._longest = max(map(len, self.pieces))
        self.end = self._tokens[END]

    def encode(self, text: str) -> list[int]:
        """Return the tokens of a text; a character that no piece has is a ValueError."""
        tokens, at = [], 0
        while at < len(text):
            lengths = range(min(self._longest, len(text) - at), 0, -1)
            length = next((length for length in lengths if text[at : at + length] in self._tokens), None)
            if length is None:
                raise ValueError(f"the model knows no {text[at]!r}")
            tokens.append(self._tokens[text[at : at + length]])
            at += length
        return tokens

    def decode(self, tokens: Sequence[int]) -> str:
        """Return the text of tokens."""
        return "".join(self.pieces[token] for token in tokens)


def learn(text: str, size: int) -> list[str]:
    """Return the pieces for a text: its characters, and then, up to a size, the most frequent pair of pieces, joined.

    This is byte-pair encoding. Of pairs that are equally frequent the first in alphabetical order is taken.
    """
    words = Counter(word for line in text.split(END) for word in WORD.findall(line))
    spelled = {word: list(word) for word in words}
    counts: Counter[tuple[str, str]] = Counter()
    where: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for word, letters in spelled.items():
        for pair in pairwise(letters):
            counts[pair] += words[word]
            where[pair].add(word)
    pieces = [END, *sorted({letter for word in words for letter in word})]
    known = set(pieces)
    while len(pieces) < size:
        first, second = best = min(counts, key=lambda pair: (-counts[pair], pair), default=("", ""))
        if not counts[best]:  # every word is one piece
            break
        if first + second not in known:
            known.add(first + second)
            pieces.append(first + second)
        for word in where.pop(best):
            counts.subtract({pair: words[word] * times for pair, times in Counter(pairwise(spelled[word])).items()})
            spelled[word] = _joined(spelled[word], first, second)
            for pair in pairwise(spelled[word]):
                counts[pair] += words[word]
                where[pair].add(word)
        del counts[best]
    return pieces


def _joined(letters: list[str], first: str, second: str) -> list[str]:
    """Return a word's pieces with each pair as one."""
    joined: list[str] = []
    for letter in letters:
        if joined and joined[-1] == first and letter == second:
            joined[-1] = first + second
        else:
            joined.append(letter)
    return joined
