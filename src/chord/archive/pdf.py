"""Markdown as PDF: headings, paragraphs, lists, tables and figures, in the fonts that matplotlib brings."""

import logging
import re
from pathlib import Path

import matplotlib as mpl
from fpdf import FPDF, FontFace, TextStyle
from markdown_it import MarkdownIt
from markdown_it.token import Token

from chord.io.files import atomic_path

logging.getLogger("fontTools").setLevel(logging.WARNING)  # it reports each table of a font that it cuts down
FAMILY = "dejavuserif"
FACES = {"": "Serif", "b": "Serif-Bold", "i": "Serif-Italic", "bi": "Serif-BoldItalic"}
MONO = "dejavusansmono"
BODY, TABLE = 9.5, 6.5  # points
HEADINGS = {"h1": 17.0, "h2": 13.5, "h3": 11.0}
PICTURE = 300  # points, of the 482 between the margins
WIDEST = 40  # characters of a table's cell that its column makes room for


def write_pdf(text: str, folder: Path) -> None:
    """Write <folder>/article.pdf. text: CommonMark with tables; its pictures are files in the folder."""
    pdf = FPDF(format="A4")
    pdf.set_margin(20)
    pdf.set_auto_page_break(auto=True, margin=20)
    fonts = Path(mpl.get_data_path()) / "fonts" / "ttf"
    for style, face in FACES.items():
        pdf.add_font(FAMILY, style, fonts / f"DejaVu{face}.ttf")
    pdf.add_font(MONO, "", fonts / "DejaVuSansMono.ttf")
    pdf.set_font(FAMILY, size=BODY)
    pdf.add_page()
    styles = {
        name: TextStyle(font_size_pt=size, font_style="B", color="#1c2128", t_margin=5, b_margin=1)
        for name, size in HEADINGS.items()
    }
    styles |= {"code": FontFace(family=MONO, size_pt=BODY - 1), "blockquote": TextStyle(color="#8c1d18", l_margin=5)}
    for piece in re.split(r"(<table>.*?</table>)", html(text), flags=re.DOTALL):
        pdf.set_font_size(TABLE if piece.startswith("<table>") else BODY)
        pdf.write_html(
            piece,
            tag_styles=styles,
            image_map=lambda place: str(folder / place),
            table_line_separators=True,
            li_prefix_color="#1c2128",
        )
    with atomic_path(folder / "article.pdf") as path:
        pdf.output(str(path))


def html(text: str) -> str:
    """The text in the HTML that fpdf2 reads, with widths of pictures and of the columns of tables."""
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = markdown.parse(text)
    for start, token in enumerate(tokens):
        if token.type == "table_open":
            end = next(place for place in range(start, len(tokens)) if tokens[place].type == "table_close")
            _set_widths(tokens[start:end])
    page = markdown.renderer.render(tokens, markdown.options, {})
    page = re.sub(r'style="text-align:(\w+)"', r'align="\1"', page)
    return page.replace("<img ", f'<img width="{PICTURE}" ')


def _set_widths(table: list[Token]) -> None:
    """Give each column a share of the page by its longest cell."""
    heads = [token for token in table if token.type == "th_open"]
    cells = [table[place + 1].content for place, token in enumerate(table) if token.type in ("th_open", "td_open")]
    longest = [max(min(len(cell), WIDEST) for cell in cells[column :: len(heads)]) for column in range(len(heads))]
    for head, length in zip(heads, longest, strict=True):
        head.attrSet("width", f"{100 * (length + 2) / sum(length + 2 for length in longest):.1f}%")
