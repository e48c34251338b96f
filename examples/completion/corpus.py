"""The text that the language model learns from: sentences in the documentation of scikit-learn, SciPy and NumPy.

    pip install scikit-learn
    python examples/completion/corpus.py | less

It is read from the installed packages' sources, none of which is imported.
"""

from __future__ import annotations

import ast
import hashlib
import re
import sys
import textwrap
from collections.abc import Iterator
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

#: By name the packages, and the distributions that install them.
PACKAGES = {"numpy": "numpy", "scipy": "scipy", "sklearn": "scikit-learn"}
#: Parts of paths that are left out: tests, and tools that not every version of Python gets.
LEFT_OUT = ("test", "distutils")
#: A paragraph of whole sentences, without code, formulas or tables.
PROSE = re.compile(r"[A-Z][A-Za-z0-9 ,.;:'()-]{48,}\.")
#: Of so many files in a thousand the text is held out.
HELD_OUT = 50


def paragraphs(source: str) -> Iterator[str]:
    """Yield the paragraphs of sentences in the string literals of a Python source, in order, without markup."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and "." in node.value:
            for paragraph in _split(node.value):
                plain = _without_markup(paragraph)
                if PROSE.fullmatch(plain) and _is_english(plain):
                    yield plain


def _split(text: str) -> Iterator[str]:
    """Yield runs of lines of one indentation: an empty line, a list or the description of a parameter ends one."""
    first, _, rest = text.partition("\n")
    run: list[str] = []
    before = 0
    for line in [first.strip(), *textwrap.dedent(rest).splitlines()]:
        indentation = len(line) - len(line.lstrip())
        if run and (not line.strip() or indentation != before):
            yield " ".join(run)
            run = []
        if line.strip():
            run.append(line.strip())
        before = indentation
    yield " ".join(run)


def _without_markup(text: str) -> str:
    text = re.sub(r":[a-z:]+:`~?([^`<]*?)(?: *<[^`]*>)?`", r"\1", text)  # roles, such as :func:`numpy.sum`
    text = re.sub(r"``?([^`]*)``?_*", r"\1", text)
    text = re.sub(r"\*+(\w[^*]*)\*+", r"\1", text)
    return " ".join(text.split())


def _is_english(text: str) -> bool:
    """Whether nearly all words are lower case, or capitalized, and long enough not to be variables."""
    words = re.findall(r"[A-Za-z]+", text)
    usual = [word for word in words if (word.islower() or word.istitle()) and (len(word) > 1 or word in "aA")]
    return len(usual) > 0.92 * len(words) and "--" not in text  # a heading is underlined


def read() -> tuple[list[str], list[str]]:
    """Return the paragraphs to learn from, and those of files that are held out; none occurs twice."""
    kept: dict[str, None] = {}
    held: dict[str, None] = {}
    for package in PACKAGES:
        for path, name in _files(package):
            number = int(hashlib.sha256(name.encode()).hexdigest(), 16) % 1000
            chosen = held if number < HELD_OUT else kept
            chosen.update(dict.fromkeys(paragraphs(path.read_text(encoding="utf-8"))))
    return list(kept), [paragraph for paragraph in held if paragraph not in kept]


def _files(package: str) -> Iterator[tuple[Path, str]]:
    """Yield the sources of a package, without those left out, and their names in it, in the order of the names."""
    found = find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise SystemExit(f"there is no {PACKAGES[package]}: pip install scikit-learn")
    root = Path(found.submodule_search_locations[0])
    for path in sorted(root.rglob("*.py"), key=lambda path: path.relative_to(root).as_posix()):
        name = f"{package}/{path.relative_to(root).as_posix()}"
        if not any(part in name for part in LEFT_OUT):
            yield path, name


def origin(texts: tuple[list[str], list[str]]) -> str:
    """Return where texts are from, and their digest."""
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES.values())
    digest = hashlib.sha256("\n".join([*texts[0], "", *texts[1]]).encode()).hexdigest()
    return f"documentation of {versions}; SHA-256 of the text {digest[:16]}"


def main() -> None:
    texts = read()
    print("\n\n".join(texts[0]))
    lengths = [f"{sum(map(len, part)):,} characters in {len(part):,} paragraphs" for part in texts]
    print(f"{origin(texts)}; {lengths[0]}, held out {lengths[1]}", file=sys.stderr)


if __name__ == "__main__":
    main()
