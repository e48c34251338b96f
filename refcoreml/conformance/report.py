"""Reports of a run: counts by family, JSON, JUnit XML, and a page with the worst cases."""

from __future__ import annotations

import fnmatch
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from xml.etree import ElementTree

from refcoreml.conformance.expectations import Expectation
from refcoreml.conformance.runner import Result
from refcoreml.errors import UsageError, harmless
from refcoreml.reporting.pages import html_text, page
from refcoreml.reporting.results import to_json

#: All statuses, in the order of columns.
STATUSES = (
    "pass",
    "suspicious",
    "undetermined",
    "fail",
    "crash",
    "timeout",
    "unsupported",
    "damaged",
    "expected failure",
    "unexpected pass",
)

_WORST_SHOWN = 30


@dataclass(frozen=True)
class About:
    """What ran.

    Attributes:
        implementation: the command or session.
        profile: the arithmetic that it claims.
        complaints: why the run failed, other than by single cases.
        specification: where the pages of the specification are, as a link; empty for no links.
    """

    implementation: str
    profile: str
    complaints: Sequence[str] = ()
    specification: str = ""

    def clause_link(self, label: str) -> str:
        """Return the link to the page with a clause, such as ``pooling.S2``; empty without links."""
        page, _, _ = label.replace("mil.", "programs/", 1).rpartition(".")
        return f"{self.specification.rstrip('/')}/{page}.md" if self.specification and page else ""


def by_family(results: Sequence[Result]) -> Iterator[tuple[str, Counter[str], float]]:
    """(family, cases by status, the largest error in bounds of those that passed), and a last line for all."""
    families = sorted({result.family for result in results})
    groups = [(name, [result for result in results if result.family == name]) for name in families]
    for name, group in [*groups, ("all", list(results))]:
        worst = max((result.worst for result in group if result.status == "pass"), default=0.0)
        yield name, Counter(result.status for result in group), worst


def unused_expectations(results: Sequence[Result], expectations: Sequence[Expectation]) -> list[str]:
    """Return patterns of the implementer's list that fit no case."""
    return [item.pattern for item in expectations if not any(fnmatch.fnmatchcase(r.id, item.pattern) for r in results)]


def nothing_returned(results: Sequence[Result]) -> str:
    """Return a complaint if an implementation that never returned anything would pass; otherwise nothing."""
    valid = [result for result in results if result.verdict == "returns"]
    if valid and not any(result.outcome == "returned" for result in valid):
        return f"nothing was returned for any of {len(valid)} valid models"
    if not valid and not any(result.status == "pass" for result in results):
        return f"none of {len(results)} cases passed"
    return ""


class Least:
    """How many cases must pass: a number, or a share of those that ran.

    Args:
        text: such as ``300`` or ``99.5%``.
        total: how many cases there are.

    Raises:
        UsageError: it is neither, or more than there are.
    """

    def __init__(self, text: str, total: int) -> None:
        if not re.fullmatch(r"[0-9]{1,9}|[0-9]{1,3}(\.[0-9]{1,9})?%", text):
            raise UsageError(f"expected a number or a share such as 95%, got {text!r}", where="--min-pass")
        self._text, self._number = text, Fraction(text.rstrip("%"))
        if self._number > (100 if text.endswith("%") else total):
            raise UsageError(f"{text} can never pass: there are {total} cases", where="--min-pass")

    def missed(self, results: Sequence[Result]) -> str:
        """Return a complaint if fewer pass, or are suspicious, which is no failure; otherwise nothing."""
        passed = sum(result.status in ("pass", "suspicious") for result in results)
        least = self._number * len(results) / 100 if self._text.endswith("%") else self._number
        return "" if passed >= least else f"{passed} of {len(results)} cases passed, at least {self._text} must"


def as_json(results: Sequence[Result], about: About) -> str:
    """Return the whole run."""
    families = [
        {"family": name, "worst": worst, **{status: counts[status] for status in STATUSES}}
        for name, counts, worst in by_family(results)
    ]
    cases = [
        {**asdict(result), "clauses": {label: about.clause_link(label) for label in result.clauses}}
        for result in results
    ]
    return to_json({**asdict(about), "families": families, "cases": cases})


def as_junit(results: Sequence[Result], about: About) -> str:
    """Return the run in JUnit's XML: one suite per family, and one for complaints about the whole run."""
    top = ElementTree.Element("testsuites", name=f"refcoreml conformance, {about.profile}")
    if about.complaints:
        count = str(len(about.complaints))
        suite = ElementTree.SubElement(top, "testsuite", name="run", tests=count, failures=count, skipped="0")
        for number, complaint in enumerate(about.complaints):
            case = ElementTree.SubElement(suite, "testcase", classname="run", name=f"run/{number}", time="0")
            ElementTree.SubElement(case, "failure", type="run", message=harmless(complaint, keep="\t\n"))
    for family in sorted({result.family for result in results}):
        group = [result for result in results if result.family == family]
        suite = ElementTree.SubElement(
            top,
            "testsuite",
            name=family,
            tests=str(len(group)),
            failures=str(sum(result.bad for result in group)),
            skipped=str(sum(result.status in ("undetermined", "unsupported", "expected failure") for result in group)),
        )
        for result in group:
            case = ElementTree.SubElement(
                suite, "testcase", classname=family, name=result.id, time=f"{result.seconds:.3f}"
            )
            if result.bad:
                failure = ElementTree.SubElement(case, "failure", type=result.status, message=result.message)
                failure.text = "\n".join(f"{label} {about.clause_link(label)}".rstrip() for label in result.clauses)
            elif result.status == "suspicious":
                ElementTree.SubElement(case, "system-out").text = f"suspicious: {result.message}"
            elif result.status != "pass":
                ElementTree.SubElement(case, "skipped", message=f"{result.status}: {result.message}")
    return ElementTree.tostring(top, encoding="unicode", xml_declaration=True) + "\n"


_STYLE = """
th, td { text-align: left; vertical-align: top; white-space: normal } td.n { text-align: right }
tr:last-child.sum td { border-top: 1px solid #999; font-weight: 600 }
.bad { color: #b00020 } .bar { background: #3b74c4; height: .7em; display: inline-block; min-width: 1px }
.message { font-size: 13px; color: #555; overflow-wrap: anywhere }
"""


def as_html(results: Sequence[Result], about: About) -> str:
    """Return a complete page: counts by family, failures, and the cases closest to their bounds."""
    e = html_text
    shown = [status for status in STATUSES if any(result.status == status for result in results)]
    rows = []
    for name, counts, worst in by_family(results):
        cells = "".join(
            f'<td class="n{" bad" if status in ("fail", "crash", "timeout", "unexpected pass") else ""}">'
            f"{counts[status] or ''}</td>"
            for status in shown
        )
        rows.append(
            f'<tr{" class=sum" if name == "all" else ""}><td>{e(name)}</td>{cells}<td class="n">{worst:.3g}</td></tr>'
        )
    failed = [result for result in results if result.bad]
    near = sorted((r for r in results if r.status == "pass" and r.worst > 0), key=lambda r: -r.worst)[:_WORST_SHOWN]
    failures = "".join(
        f'<tr><td class="bad">{e(r.status)}</td><td>{e(r.id)}</td><td class="message">{e(r.message)}</td>'
        f"<td>{_clauses(r, about)}</td></tr>"
        for r in sorted(failed, key=lambda r: -r.worst)
    )
    nearest = "".join(
        f'<tr><td>{e(r.id)}</td><td>{e(r.where)}</td><td class="n">{r.worst:.3g}</td>'
        f'<td style="width:14em"><span class="bar" style="width:{min(r.worst, 1) * 100:.1f}%"></span></td></tr>'
        for r in near
    )
    doubtful = "".join(
        f'<tr><td>{e(r.id)}</td><td class="message">{e(r.message)}</td><td>{_clauses(r, about)}</td></tr>'
        for r in results
        if r.status == "suspicious"
    )
    columns = "".join(f"<th>{e(status)}</th>" for status in shown)
    head = f"<tr><th>family</th>{columns}<th>worst error / bound</th></tr>"
    body = [
        "<h1>Conformance to Core ML</h1>",
        f"<p><b>{e(about.implementation)}</b>, profile <b>{e(about.profile)}</b>: {len(results)} cases, {len(failed)} "
        f"bad, {sum(r.outcome == 'returned' for r in results)} returned outputs.</p>",
        *(f'<p class="bad">{e(complaint)}.</p>' for complaint in about.complaints),
        f"<table>{head}{''.join(rows)}</table>",
        "<h2>What failed</h2>",
        f"<table><tr><th></th><th>case</th><th>why</th><th>clauses that it checks</th></tr>{failures}</table>"
        if failed
        else "<p>Nothing.</p>",
        f"<h2>Suspicious</h2><table>{doubtful}</table>" if doubtful else "",
        "<h2>Nearest to their bounds</h2>",
        "<p>Of the cases that passed, those with the largest error, as a fraction of what is allowed at that element."
        "</p>",
        f"<table><tr><th>case</th><th>where</th><th>error / bound</th><th></th></tr>{nearest}</table>",
    ]
    return page(f"Conformance, {about.profile}", body, _STYLE)


def _clauses(result: Result, about: About) -> str:
    """Return the clauses that a case checks, with links."""
    linked = ((html_text(label), html_text(about.clause_link(label))) for label in result.clauses)
    return ", ".join(f'<a href="{link}">{label}</a>' if link else label for label, link in linked)
