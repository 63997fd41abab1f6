"""A report as one HTML file, and the folder that it is written into, with tables and figures."""

import base64
import contextlib
import functools
import hashlib
import itertools
import re
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jinja2

from stopcli.errors import in_a_line
from stopcli.paths import quoted
from stopcli.report.after import image_bytes
from stopcli.report.document import Document, Image, Part, Picture, Section, Table, Warn, pieces, to_markdown
from stopcli.report.drawing import Figures, draw
from stopcli.report.next_steps import next_section, next_steps
from stopcli.report.run_report import how_it_was_made
from stopcli.runs.environment import describe_environment
from stopcli.runs.files import is_disk_fault, write_json, write_text
from stopcli.runs.folder import RunFolder
from stopcli.runs.summary import AnalysisSummary

_TEMPLATES = Path(__file__).parent / "templates"
# Longer code is folded.
LINES_UNFOLDED = 6
# With fewer sections there is no table of contents.
SECTIONS_LISTED = 4
# Characters: longer cells, and longer code within a text, are wrapped.
UNWRAPPED = 32
# Letters of a table's columns that a phone has room for.
_PHONE_LETTERS = 44
_NUMBER = re.compile(r"[+\-−]?(\d[\d,]*\.?\d*|\.\d+)(e[+\-]?\d+)?( ?(%|s|×))?")
_NOTHING = ("", "–", "—")
_BOUNDS = re.compile(r"(\[[^\s\]]*\d[^\s\]]*, [^\s\]]*\d[^\s\]]*\])")


def to_html(document: Document, folder: Path) -> str:
    """The text of a report.html.

    Args:
        folder: what the paths of the document's pictures are relative to. Their data are put into the file; where one
            is missing, the file says so.
    """
    style, script = _template("parts.css") + _template("report.css"), _template("report.js")
    policy = (
        f"default-src 'none'; img-src data:; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    return _render("report.html", document, folder, style, policy=policy, script=script, is_page=True)


def to_notebook_html(document: Document, folder: Path) -> str:
    """A report as a part of another page, such as the output of a notebook's cell: without a script, and with a style
    that holds for nothing else on the page.

    Args:
        folder: as for `to_html`.
    """
    # After the rules of a notebook for its own tables and texts, which weigh no more than these.
    style = f".stopcli-report.stopcli-report {{\n{_template('parts.css')}{_template('notebook.css')}}}"
    return _render("notebook.html", document, folder, style, is_page=False)


def _render(template: str, document: Document, folder: Path, style: str, **values: Any) -> str:
    return (
        _engine()
        .get_template(template)
        .render(
            document=document,
            picture=functools.partial(picture_data, folder),
            style=style,
            sections_listed=SECTIONS_LISTED,
            lines_unfolded=LINES_UNFOLDED,
            unbroken=UNWRAPPED,
            **values,
        )
    )


def _template(name: str) -> str:
    return (_TEMPLATES / name).read_text(encoding="utf-8")


@functools.cache
def _engine() -> jinja2.Environment:
    engine = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    engine.filters.update(grouped=_grouped, kind=_kind, pieces=pieces, columns=_columns, bounds=_BOUNDS.split)
    return engine


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _kind(part: Part) -> str:
    return type(part).__name__


def _grouped(parts: Sequence[Part]) -> list[tuple[bool, list[Part]]]:
    """Parts in groups, each with whether it is of figures, which stand side by side where there is room."""
    groups = itertools.groupby(parts, key=lambda part: isinstance(part, (Picture, Image)))
    return [(are_pictures, list(group)) for are_pictures, group in groups]


@dataclass(frozen=True)
class _Column:
    """A column of a table: where its cells are in the rows, and how they look.

    Attributes:
        look: classes. `number` where each row holds one (aligned right), `prose` where cells are long; `other` where
            a phone shows it only on request.
    """

    index: int
    look: str


def _columns(table: Table) -> list[_Column]:
    """The columns in the order in which they are shown: those that the table is read for first."""
    keys = table.key_columns
    letters = [
        max(*(len(word) for word in name.split()), *(len(row[i]) for row in table.rows), 0, 0)
        for i, name in enumerate(table.columns)
    ]
    folds = sum(letters) + 2 * len(letters) > _PHONE_LETTERS

    def look(column: int) -> str:
        looks = ["other"] if folds and column not in keys else []
        cells = [row[column] for row in table.body if row[column] not in _NOTHING]
        if letters[column] > UNWRAPPED:
            looks.append("prose")
        elif cells and all(_NUMBER.fullmatch(cell) for cell in cells):
            looks.append("number")
        return " ".join(looks)

    order = dict.fromkeys((*keys, *range(len(table.columns))))
    return [_Column(i, look(i)) for i in order]


def write_report(folder: Path, document: Document, name: str = "report") -> list[Path]:
    """Write a document as NAME.md and NAME.html into the folder that its pictures' paths are relative to."""
    texts = {f"{name}.md": to_markdown(document), f"{name}.html": to_html(document, folder)}
    for file, text in texts.items():
        write_text(folder / file, text)
    return [folder / file for file in texts]


def write_or_warn(folder: RunFolder, document: Callable[[], Document]) -> tuple[str, ...]:
    """Write the report of something finished, whose results must not be lost because the report cannot be made.

    Args:
        folder: held by this process; its log gets the traceback.

    Returns:
        Warnings, a sentence without a full stop each.

    Raises:
        OSError: the disk is full, broken or read-only.
    """
    try:
        write_report(folder.path, document())
    except Exception as error:
        if is_disk_fault(error):
            raise
        folder.note(f"the report could not be written:\n{traceback.format_exc()}")
        # One of an earlier session, or half of this one, would not agree with the results.
        for name in ("report.md", "report.html"):
            with contextlib.suppress(OSError):
                (folder.path / name).unlink(missing_ok=True)
        return (
            f"the report could not be written ({in_a_line(error)}); stopcli report {quoted(folder.path)} tries again",
        )
    return ()


# In bytes, after shrinking; a larger SVG gives way to its PNG where that is smaller.
LARGEST_SVG = 300_000

# Colours of the figures, ours and matplotlib's own, with those on a dark page. Others stay as they are.
_ON_DARK = {
    "#ffffff": "#15181c",
    "#000000": "#e4e7eb",
    "#b0b0b0": "#8b949e",
    "#cccccc": "#3b424b",
    "#666666": "#a3abb5",
    "#f1eee6": "#23272d",
    "#0072b2": "#4aa8e0",
    "#d55e00": "#f08b45",
    "#009e73": "#35c79c",
    "#cc79a7": "#dd92bb",
    "#e69f00": "#efb53a",
    "#56b4e9": "#7cc8f2",
}
# Elements that show values as colours, which must not change on a dark page.
_COLOURED = re.compile(r'<image\b|id="(QuadContourSet|QuadMesh)')
_LEFT_OUT = re.compile(r"<\?xml.*?\?>\s*|<!DOCTYPE.*?>\s*|<metadata>.*?</metadata>\s*", re.DOTALL)
_COORDINATES = re.compile(r'(?<= d=")[^"]*')
_HUNDREDTHS = re.compile(r"(\.\d\d)\d+")
_STYLE = re.compile(r'(?<= style=")[^"]*')
_COLOUR = re.compile(r"#[0-9a-f]{6}")


@dataclass(frozen=True)
class PictureData:
    """A figure.

    Attributes:
        uri: its bytes.
        light: whether its background is light on a dark page too.
        width: in pixels, from which on its smallest letters can be read; 0 where that is not known.
        natural: whether it is shown in its own size, as far as the page has room.
    """

    uri: str
    light: bool
    width: int = 0
    natural: bool = False


_IMAGE_KINDS = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".svg": "image/svg+xml"}


def picture_data(folder: Path, picture: Picture | Image) -> PictureData | None:
    """A picture of a folder; None where it is missing or cannot be read."""
    if isinstance(picture, Image):
        content = image_bytes(folder, picture.path)
        kind = _IMAGE_KINDS[Path(picture.path).suffix.lower()]
        return PictureData(_uri(kind, content), light=True, natural=True) if content else None
    svg, png = (_read(folder / f"{picture.path}.{ending}") for ending in ("svg", "png"))
    if svg is not None:
        text = svg.decode("utf-8", "replace")
        light = bool(_COLOURED.search(text))
        text = _shrunk(text) if light else _in_both_schemes(_shrunk(text))
        if png is None or len(text) <= max(LARGEST_SVG, len(png)):
            return PictureData(_uri("image/svg+xml", text.encode()), light, _readable_width(text))
    return None if png is None else PictureData(_uri("image/png", png), light=True)


# In pixels.
SMALLEST_LETTERS = 9
_VIEW = re.compile(r'viewBox="0 0 ([\d.]+) ')
_FONT_SIZE = re.compile(r"font(?:-size)?: (?:[a-z]+ )*([\d.]+)px")


def _readable_width(svg: str) -> int:
    view, sizes = _VIEW.search(svg), _FONT_SIZE.findall(svg)
    return round(SMALLEST_LETTERS * float(view[1]) / min(map(float, sizes))) if view and sizes else 0


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


def _uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _shrunk(svg: str) -> str:
    """Without metadata, and with coordinates to a hundredth of a point."""
    # Splitting and joining takes a quarter of the time of replacing; a figure may have tens of thousands of numbers.
    return _COORDINATES.sub(lambda numbers: "".join(_HUNDREDTHS.split(numbers[0])), _LEFT_OUT.sub("", svg))


def _in_both_schemes(svg: str) -> str:
    """With colours that follow the reader's colour scheme, as the page around it does."""
    used: set[str] = set()

    def colour(match: re.Match[str]) -> str:
        if match[0] not in _ON_DARK:
            return match[0]
        used.add(match[0])
        return f"var(--{match[0][1:]})"

    svg = _STYLE.sub(lambda style: _COLOUR.sub(colour, style[0]), svg)
    used |= {"#000000"}
    light, dark = (
        "".join(f"--{name[1:]}:{value(name)};" for name in sorted(used)) for value in (str, _ON_DARK.__getitem__)
    )
    style = f":root{{{light}}}svg{{fill:var(--000000)}}@media (prefers-color-scheme: dark){{:root{{{dark}}}}}"
    head, tag, rest = svg.partition("<svg")
    opened, end, content = rest.partition(">")
    return f"{head}{tag}{opened}{end}<style>{style}</style>{content}"


@dataclass(frozen=True)
class AnalysisOutput:
    """What an analysis of finished runs came to.

    Attributes:
        command: that ran it.
        table: the results; in the folder as table.md.
        tables: what a terminal shows.
        warnings: a sentence without a full stop each.
        files: text files of the folder by name, such as table.csv.
        answers: what was asked for, in plain words, a sentence or two each; printed before the tables.
        conclusions: what else follows.
        summary: what summary.json holds beside the command, the table, the conclusions and the warnings.
        figures: how the figures are drawn, by name. Called once; imports matplotlib.
        document: the report with the figures that were drawn, without how it was made.
    """

    command: str
    table: Table
    tables: Sequence[Table]
    warnings: Sequence[str]
    files: Mapping[str, str]
    answers: tuple[str, ...]
    conclusions: tuple[str, ...]
    summary: Mapping[str, Any]
    figures: Callable[[], Figures]
    document: Callable[[Sequence[Picture]], Document]


def write_output(
    output: AnalysisOutput, *, root: Path, name: str = "", run_dir: Path | None = None
) -> tuple[Path, AnalysisSummary]:
    """Write an analysis's folder.

    Args:
        root, name, run_dir: as for `RunFolder.create`.

    Returns:
        The folder, and its summary.

    Raises:
        RunFolderError: the folder exists or cannot be made.
    """
    with RunFolder.create(root=root, command=output.command, name=name, run_dir=run_dir) as folder:
        environment = describe_environment()
        write_json(folder.environment, environment)
        for file, text in {**output.files, "table.md": output.table.markdown()}.items():
            write_text(folder.path / file, text)
        drawn = draw(output.figures, folder.path)
        folder.note(drawn.tracebacks)
        summary = AnalysisSummary(
            command=output.command,
            name=name,
            state="finished",
            results=output.summary,
            warnings=(*output.warnings, *drawn.warnings),
            table=output.table.for_summary(),
            conclusions=(*output.answers, *output.conclusions),
            run_dir=str(folder.path),
        )

        def document() -> Document:
            results = output.document(drawn.pictures)
            warnings = (Warn(f"{warning}.") for warning in drawn.warnings)
            following = next_section(next_steps(folder.path, summary.state, summary))
            provenance = Section("How it was made", how_it_was_made(environment))
            return Document(results.title, (*results.lead, *warnings), (*results.sections, *following, provenance))

        summary = replace(summary, warnings=(*summary.warnings, *write_or_warn(folder, document)))
        write_json(folder.summary, summary)
        folder.status.write("finished")
    return folder.path, summary
