"""The language model in examples/completion: its tokens, its model with a cache as states, what PyTorch says of it."""

from __future__ import annotations

import importlib.util
import itertools
import os
import re
import shlex
import subprocess
import sys
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from support import assert_identical

import refcoreml

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "completion"
MODEL = FOLDER / "decoder.mlpackage"
PAGE = (FOLDER / "README.md").read_text(encoding="utf-8")


def script(name):
    """A script of the folder as a module; the scripts import each other from where they are."""
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(FOLDER))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(FOLDER))
    return module


generation = script("generate")
corpus, tokenizing = script("corpus"), script("tokenizer")
#: Beginnings of several lengths, one of which ends within a word.
BEGINNINGS = ["The array", "If True, the", "The number of sam"]


@pytest.fixture(scope="module")
def model():
    return refcoreml.load(MODEL)


@pytest.fixture(scope="module")
def double():
    return refcoreml.load(MODEL, precision="float64")


@pytest.fixture(scope="module")
def tokenizer(model):
    return generation.tokenizer_of(model)


@pytest.fixture(scope="module")
def texts(double, tokenizer):
    """Beginnings, with what the model makes of them in double precision, 20 tokens."""
    begun = [[tokenizer.end, *tokenizer.encode(text)] for text in BEGINNINGS]
    return [tokens + list(itertools.islice(generation.generate(double, tokens), 20 - len(tokens))) for tokens in begun]


def moved_by_rounding(package, texts):
    """How far rounding can move a score in double precision: what it does in single, scaled to the finer roundings.

    A score is off by a sum of roundings, times what the network makes of them, which is the same in both; how large a
    sum is in an order of summation is chance, for which there is a factor of 16. At the end each score is rounded to
    single precision, as the model declares it.
    """
    single, double = (refcoreml.load(package, precision=precision) for precision in ("float32", "float64"))
    exact = [whole(double, tokens) for tokens in texts]
    moved = max(np.abs(whole(single, t) - scores).max() for t, scores in zip(texts, exact, strict=True))
    assert 0 < moved < 1e-3
    return 16 * moved * 2.0**-29 + max(np.abs(scores).max() for scores in exact) * 2.0**-23


@pytest.fixture(scope="module")
def widest(texts):
    return moved_by_rounding(MODEL, texts)


def whole(model, tokens):
    """The scores after each token, read at once by a new state."""
    return generation.scores_of(model, model.make_state(), tokens, 0)


def stepped(model, state, tokens):
    """The same, token by token."""
    rows = [generation.scores_of(model, state, [token], place) for place, token in enumerate(tokens)]
    return np.concatenate(rows)


# --- the command line ------------------------------------------------------------------------------------------------


def test_the_commands_of_the_pages_print_what_the_pages_say(complete, model, double, tokenizer):
    """Once in a process of its own, as a user does; another processor may sum in another order."""
    shown = re.findall(r"^    python examples/completion/generate.py (.*)\n\n    (.*)$", PAGE, re.MULTILINE)
    (best, printed), (by_chance, drawn) = shown
    front = (FOLDER.parents[1] / "README.md").read_text(encoding="utf-8")
    assert re.search(rf"^python examples/completion/generate.py {best} +# {printed}$", front, re.MULTILINE)
    command = [sys.executable, str(FOLDER / "generate.py"), *shlex.split(best)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == printed + "\n"
    assert not done.stderr
    code, found, _ = complete(*shlex.split(by_chance))
    assert code == 0
    assert found[:12] == drawn[:12]
    tokens = [tokenizer.end, *tokenizer.encode(printed)]
    exact, begun = whole(double, tokens), len(tokenizer.encode(shlex.split(best)[0])) + 1
    moved, ordered = np.abs(whole(model, tokens) - exact).max(-1), np.sort(exact, -1)
    assert (ordered[:, -1] - ordered[:, -2] > 2 * moved)[begun - 1 :].all()


@pytest.fixture
def complete(monkeypatch, capsys):
    """Run the script in this process: arguments in; exit code, output and errors out."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["generate.py", *arguments])
        try:
            code = generation.main()
        except SystemExit as ended:
            code = ended.code
        return code, *capsys.readouterr()

    return call


@pytest.mark.skipif(os.name != "posix", reason="a pipe that nobody reads is another error on Windows")
def test_a_reader_may_have_had_enough():
    command = [sys.executable, str(FOLDER / "generate.py"), "The array", "--tokens", "9"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


def test_options_of_the_command_line(complete):
    code, printed, said = complete("The array", "--tokens", "3", "--time")
    assert code == 0
    assert re.fullmatch(r"the first token after \d+ ms, then [\d.]+ ms for each of 2\n", said)
    assert len(printed) > len("The array\n")
    drawn = [complete("The", "--tokens", "4", "--temperature", "2", "--seed", seed)[1] for seed in "1231"]
    assert drawn[3] == drawn[0]
    assert len(set(drawn)) > 1
    alone = complete("The", "--tokens", "4", "--temperature", "2", "--top", "1")
    assert alone == complete("The", "--tokens", "4")
    code, printed, _ = complete("--help")
    assert code == 0
    assert 'generate.py "The array"\n' in printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "required: text"),
        ([" "], "the text is empty"),
        (["The", "--temperature", "-1"], "--temperature is -1.0, expected a number of at least 0"),
        (["The", "--temperature", "nan"], "--temperature is nan"),
        (["The", "--temperature", "inf"], "--temperature is inf"),
        (["The", "--top", "0"], "--top is 0, expected a number of at least 1"),
        (["The", "--tokens", "0"], "--tokens is 0"),
        (["The", "--seed", "-1"], "--seed is -1"),
        (["The café"], "the model knows no 'é'"),
        (["a " * 200], "tokens, and the model has room for 128"),
        (["The", "--model", "missing.mlpackage"], "missing.mlpackage"),
        (["The", "--model", str(FOLDER / "completion.mlmodel")], "has no tokens in its metadata"),
    ],
)
def test_what_cannot_be_done_is_said(complete, arguments, message):
    code, printed, said = complete(*arguments)
    assert code == 2
    assert not printed
    assert message in said


# --- the cache -------------------------------------------------------------------------------------------------------


def test_each_prediction_reads_only_what_is_new(model, monkeypatch):
    read = []
    predict = model.predict

    def noted(inputs, state):
        read.append(inputs["tokens"].shape)
        return predict(inputs, state=state)

    monkeypatch.setattr(model, "predict", noted)
    found = generation.generate(model, [0, 5, 9, 7])
    assert not read
    assert len(list(itertools.islice(found, 3))) == 3
    assert read == [(1, 4), (1, 1), (1, 1)]


def test_token_by_token_is_as_all_at_once(double, texts, widest):
    for tokens in texts:
        found = stepped(double, double.make_state(), tokens)
        np.testing.assert_allclose(found, whole(double, tokens), rtol=0, atol=widest)
        begun = len(tokens) // 3  # several at once, in the middle
        state = double.make_state()
        parts = [stepped(double, state, tokens[:begun]), generation.scores_of(double, state, tokens[begun:], begun)]
        np.testing.assert_allclose(np.concatenate(parts), found, rtol=0, atol=widest)


def test_the_last_place_of_the_cache_is_used_and_no_later_one(model):
    tokens = list(generation.generate(model, [0] * 120))
    assert len(tokens) == generation.context_of(model) - 120 + 1


def test_two_states_do_not_disturb_each_other(model, texts):
    one, other = texts[0][:6], texts[1][:6]
    alone = [stepped(model, model.make_state(), tokens) for tokens in (one, other)]
    states = model.make_state(), model.make_state()
    mixed: tuple[list, list] = ([], [])
    for place in range(6):
        for rows, state, tokens in zip(mixed, states, (one, other), strict=True):
            rows.append(generation.scores_of(model, state, tokens[place : place + 1], place))
    for rows, expected in zip(mixed, alone, strict=True):
        assert_identical(np.concatenate(rows), expected)


def test_half_precision_takes_the_same_tokens(model, double, texts):
    """Where the best score leads by more than rounding moves any, the choice is the same."""
    agreed = 0
    for tokens in texts:
        found, exact = whole(model, tokens), whole(double, tokens)
        moved = np.abs(found - exact).max(-1)
        best = np.sort(exact, -1)
        clear = best[:, -1] - best[:, -2] > 2 * moved
        assert_identical(found.argmax(-1)[clear], exact.argmax(-1)[clear])
        agreed += clear.sum()
    assert agreed > 0.9 * sum(map(len, texts))


# --- the text --------------------------------------------------------------------------------------------------------


def test_pieces_are_the_most_frequent_pairs_first():
    # Of " t", "th" and "he", which occur 4 times, the first in alphabetical order; then what is left of " the".
    pieces = tokenizing.learn(" the the the then\nox", 12)
    assert pieces == ["\n", " ", "e", "h", "n", "o", "t", "x", " t", " th", " the", " then"]
    # "at" occurs 3 times, more often than any other; then " s", and so on, until each word is a piece.
    assert tokenizing.learn("at sat rat sin", 99)[8:] == ["at", " s", " r", " rat", " sat", " si", " sin"]


def test_a_text_is_cut_into_the_longest_pieces():
    found = tokenizing.Tokenizer(["\n", "a", "b", "ab", "aba", " "])
    assert found.encode("abab a\n") == [4, 2, 5, 1, 0]
    assert found.decode([4, 2, 5, 1, 0]) == "abab a\n"
    with pytest.raises(ValueError, match="knows no 'c'"):
        found.encode("abc")


def test_the_tokens_of_the_model_spell_every_text(tokenizer):
    text = "Compute the mean, e.g. (3.5) of Xy's 20 samples: it's 'quick'; see-also.\nQJZ"
    assert tokenizer.decode(tokenizer.encode(text)) == text
    words = Counter(len(tokenizer.encode(word)) for word in (" the", " array", " of", " is"))
    assert words == {1: 4}
    assert f'"tokens": [{[tokenizer.end, *tokenizer.encode("The array")]}]' in PAGE


def test_sentences_of_documentation_are_found():
    source = '''
def f(a_long_name):
    """Return the sum of all the elements of an array, over an axis.

    Parameters
    ----------
    a_long_name : array_like
        The array of which the :func:`~numpy.sum` is wanted, or a
        ``list`` of *several* such arrays of one shape.
    short : int
        Too short.

    See Also
    --------
    The heading above is underlined, which has no place in any sentence at all.
    >>> This is a line of code and so it is no sentence that anybody would read.
    """
    return "The value a_b = c_d * e_f of this string is not only words of any language."
'''
    assert list(corpus.paragraphs(source)) == [
        "Return the sum of all the elements of an array, over an axis.",
        "The array of which the numpy.sum is wanted, or a list of several such arrays of one shape.",
    ]


# --- PyTorch ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def training():
    """The script that trains, with its packages."""
    pytest.importorskip("torch", reason="needs torch, of the extra oracles")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("coremltools", reason="needs coremltools, of the extra oracles")
        return script("train_decoder")


def doubled(decoder):
    """PyTorch's network in double precision, with the epsilon as programs have it, in half precision."""
    for module in decoder.modules():
        if hasattr(module, "eps"):
            module.eps = float(np.float16(module.eps))
    return decoder.double().eval()


def decompressed(training, package):
    """PyTorch's network with the weights of a package, decompressed by coremltools."""
    import coremltools as ct
    import torch

    packed = ct.models.MLModel(str(package), skip_model_load=True)
    program = ct.optimize.coreml.decompress_weights(packed)._mil_program
    constants = {op.name: op.outputs[0].val for op in program.functions["main"].find_ops(op_type="const")}
    decoder = training.Decoder()
    for name, weight in decoder.named_parameters():
        flat = "decoder_" + name.replace(".", "_") + "_to_fp16"
        (found,) = (
            value for key, value in constants.items() if key in (flat, f"{flat}_palettized", f"{flat}_quantized")
        )
        weight.data = torch.from_numpy(found.astype(np.float32))
    return doubled(decoder)


@pytest.mark.filterwarnings("ignore")
def test_the_committed_model_writes_what_torch_writes_with_its_weights(training, double, texts, widest):
    import torch

    decoder = decompressed(training, MODEL)
    for tokens, text in zip(texts, BEGINNINGS, strict=True):
        with torch.no_grad():
            scores = decoder(torch.tensor([tokens]))[0].numpy()
        np.testing.assert_allclose(whole(double, tokens), scores, rtol=0, atol=widest)
        begun = len(generation.tokenizer_of(double).encode(text)) + 1
        np.testing.assert_array_equal(scores.argmax(-1)[begun - 1 : -1], tokens[begun:])


@pytest.mark.filterwarnings("ignore")
def test_a_converted_network_computes_what_torch_computes(training, tmp_path):
    """With weights of half precision, as the program has them; three tokens at once, then one by one."""
    import torch

    torch.manual_seed(4)
    decoder = training.Decoder(layers=1).half().float().eval()
    for weight in decoder.parameters():
        weight.data = (weight.data * 4).half().float()  # so that attention is not the same everywhere
    package, tokens = tmp_path / "small.mlpackage", [5, 9, 1023, 33, 2, 8]
    training.convert(decoder, ["\n", "a"]).save(str(package))
    model = refcoreml.load(package, precision="float64")
    assert generation.tokenizer_of(model).pieces == ["\n", "a"]
    state = model.make_state()
    found = [generation.scores_of(model, state, tokens[:3], 0)]
    found += [generation.scores_of(model, state, tokens[i : i + 1], i) for i in (3, 4, 5)]
    with torch.no_grad():
        wanted = doubled(decoder)(torch.tensor([tokens]))[0].numpy()
    widest = moved_by_rounding(package, [tokens])
    np.testing.assert_allclose(np.concatenate(found), wanted, rtol=0, atol=widest)
