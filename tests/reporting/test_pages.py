"""Reports as pages of HTML."""

from __future__ import annotations

import base64
import io

from PIL import Image

from refcoreml.reporting.pages import html_figure, html_table, html_text, page


def test_pages_hold_no_marks_that_reorder_text() -> None:
    assert html_text("<b>\u202e\n&") == "&lt;b&gt;\\u202e\n&amp;"


def test_a_page_escapes_its_title_and_leaves_empty_parts_out() -> None:
    text = page("a < b", ["<h1>one</h1>", "", "<p>two</p>"])
    assert "<title>a &lt; b</title>" in text
    assert "<body>\n<h1>one</h1>\n<p>two</p>\n</body>" in text


def test_a_page_may_add_to_the_style() -> None:
    assert "p { color: red }</style>" in page("", [], "p { color: red }")


def test_cells_of_a_table_are_escaped_and_the_best_row_is_marked() -> None:
    text = html_table(("layer", "bits"), [(("<conv>", "8"), False), (("fc", "4"), True)], text=("layer",))
    assert "<th class=text>layer</th><th>bits</th>" in text
    assert "<tr><td class=text>&lt;conv&gt;</td><td>8</td></tr>" in text
    assert "<tr class=best><td class=text>fc</td><td>4</td></tr>" in text


def test_a_page_holds_its_figures() -> None:
    buffer = io.BytesIO()
    Image.new("L", (40, 7)).save(buffer, "PNG")
    text = html_figure(buffer.getvalue(), 'a "figure"', 0.5)
    assert f'width="20" src="data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"' in text
    assert "<figcaption>a &quot;figure&quot;</figcaption>" in text
