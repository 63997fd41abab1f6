"""What a report says, apart from how it looks: Markdown and HTML are both made from a Document.

Texts are plain except for `code` between backticks; whatever else looks like markup is escaped when a document is
rendered.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from stopcli.runs.headline import ACCURACY, Headline

# As many backticks after it as before it, and no others beside them.
_CODE = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", re.DOTALL)
# What would begin a tag, a comment, an image or a link of Markdown.
_MARKUP = re.compile(r"<(?=[A-Za-z/!?])|(?<=!)\[|\[(?=[^\[\]]*\]\()")


def code(text: str) -> str:
    """Any text as code within another."""
    ticks = "`" * (1 + max((len(run) for run in re.findall("`+", text)), default=0))
    room = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{ticks}{room}{text}{room}{ticks}"


def pieces(text: str) -> Iterator[tuple[bool, str]]:
    """A text in pieces, each with whether it is code.

    >>> list(pieces("see `a` and ``b`c``"))
    [(False, 'see '), (True, 'a'), (False, ' and '), (True, 'b`c')]
    """
    end = 0
    for match in _CODE.finditer(text):
        if match.start() > end:
            yield False, text[end : match.start()]
        yield True, match[2].strip(" ") or match[2]
        end = match.end()
    if end < len(text):
        yield False, text[end:]


def markdown_text(text: str) -> str:
    """A text for Markdown, in one line, in which code is code and nothing is a tag, an image or a link."""
    flat = " ".join(text.splitlines())
    return "".join(code(piece) if is_code else _escaped(piece) for is_code, piece in pieces(flat))


def markdown_cell(text: str) -> str:
    """A plain text for a cell of a table."""
    return _escaped(" ".join(text.splitlines())).replace("|", "\\|").replace("`", "\\`")


def _escaped(text: str) -> str:
    return _MARKUP.sub(lambda match: f"\\{match[0]}", text)


# Columns that distinguish rows beside the first one, and those that a table is read for, in whatever table they are.
_DISTINGUISHING = ("source", "of", "rule", "seed")
_INTERVAL = "95 % interval"
_READ_FOR = re.compile(
    r"((its|final|saved) )?(test|validation|val\.) (?!.* at the stop).+|(?!chosen).+ on the test rows|"
    r"error at the end|cost ratio.*|epochs trained \(%\)|regret( \(%\))?|.* given up|difference|verdicts?|"
    r"saved epoch|F1|base|max|training|times .*|Pareto|total|true|predicted|confidence|groups|from|mean target|"
    rf"{_INTERVAL}"
)


@dataclass(frozen=True)
class Table:
    """A title, the columns' names, and rows of text.

    Attributes:
        sums: how many of the last rows sum the others up, such as their mean; they stay below where rows are sorted.
        exact: the rows with all digits, for CSV; empty where that makes no difference.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    sums: int = 0
    exact: tuple[tuple[str, ...], ...] = ()

    @property
    def body(self) -> tuple[tuple[str, ...], ...]:
        """The rows that sum nothing up."""
        return self.rows[: len(self.rows) - self.sums]

    @property
    def foot(self) -> tuple[tuple[str, ...], ...]:
        """The rows that sum the others up."""
        return self.rows[len(self.rows) - self.sums :]

    @property
    def key_columns(self) -> tuple[int, ...]:
        """The indices of the columns to show where there is no room for all: what a row is about, and what it came
        to. All columns where none of them is known."""
        # A verdict says what the interval comes to.
        left_out = _INTERVAL if "verdict" in self.columns else ""
        read_for = [column != left_out and bool(_READ_FOR.fullmatch(column)) for column in self.columns]
        # Whatever has its interval beside it.
        read_for = [
            key or next_one == _INTERVAL for key, next_one in zip(read_for, (*self.columns[1:], ""), strict=True)
        ]
        if not any(read_for[1:]):
            return tuple(range(len(self.columns)))
        about = [i for i, column in enumerate(self.columns) if not i or column in _DISTINGUISHING]
        return (*about, *(i for i, key in enumerate(read_for) if key and i not in about))

    @classmethod
    def of_shares(
        cls, title: str, columns: tuple[str, ...], rows: Sequence[Sequence[str | int | float]], sums: int = 0
    ) -> Table:
        """A table of names, counts and shares. Shares (float) are shown to three digits, and whole in CSV."""
        shown = tuple(tuple(f"{cell:.3f}" if isinstance(cell, float) else str(cell) for cell in row) for row in rows)
        return cls(title, columns, shown, sums, tuple(tuple(map(str, row)) for row in rows))

    @classmethod
    def from_summary(cls, content: Mapping[str, Any]) -> Table:
        """The table that a summary.json holds (`for_summary`)."""
        rows = tuple(tuple(row) for row in content["rows"])
        return cls(content.get("title", "Results"), tuple(content["columns"]), rows, content.get("sums", 0))

    def for_summary(self) -> dict[str, Any]:
        """What a summary.json holds of it."""
        rows = [list(row) for row in self.rows]
        return {"title": self.title, "columns": list(self.columns), "rows": rows, "sums": self.sums}

    def markdown(self) -> str:
        lines = [_markdown_row(self.columns), "|" + "---|" * len(self.columns), *map(_markdown_row, self.rows)]
        return "\n".join(lines) + "\n"

    @classmethod
    def joined(cls, tables: Sequence[Table]) -> Table:
        """Several tables as one, with a first column that says which; one table as it is."""
        if len(tables) == 1:
            return cls("Results", tables[0].columns, tables[0].rows)
        columns = tuple(dict.fromkeys(column for table in tables for column in table.columns))
        rows = []
        for table in tables:
            for row in table.rows:
                cells = dict(zip(table.columns, row, strict=True))
                rows.append((table.title, *(cells.get(column, "–") for column in columns)))
        return cls("Results", ("runs", *columns), tuple(rows))

    def _repr_html_(self) -> str:
        """For a notebook."""
        from stopcli.report.html import to_notebook_html

        return to_notebook_html(Document("", (self,), ()), Path())

    def csv(self) -> str:
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerows([self.columns, *(self.exact or self.rows)])
        return out.getvalue()


def _markdown_row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(markdown_cell(cell) for cell in cells) + " |"


def csv_of(rows: Sequence[Mapping[str, object]]) -> str:
    """Rows with the same names as a CSV; None is an empty cell."""
    cells = tuple(tuple("" if value is None else str(value) for value in row.values()) for row in rows)
    return Table("", tuple(rows[0]), cells).csv()


@dataclass(frozen=True)
class Paragraph:
    """One sentence or more."""

    text: str


@dataclass(frozen=True)
class Warn:
    """A warning."""

    text: str


@dataclass(frozen=True)
class Bullets:
    """A list of points."""

    items: tuple[str, ...]


@dataclass(frozen=True)
class Code:
    """Preformatted text.

    Attributes:
        language: such as `toml` or `sh`.
    """

    text: str
    language: str = ""


@dataclass(frozen=True)
class Picture:
    """A figure that lies beside the report as NAME.png and NAME.svg.

    Attributes:
        path: relative to the report, without its ending, such as `plots/curves`.
        alt: what it shows, for readers who do not see it.
    """

    path: str
    alt: str

    @property
    def name(self) -> str:
        return self.path.rsplit("/", 1)[-1]


@dataclass(frozen=True)
class Image:
    """A file with an image, such as a user's own code leaves in a run's folder.

    Attributes:
        path: relative to the report, with its ending: `.png`, `.jpg`, `.jpeg` or `.svg`.
        alt: what it shows, for readers who do not see it.
    """

    path: str
    alt: str


Part = Paragraph | Warn | Bullets | Code | Picture | Image | Table


@dataclass(frozen=True)
class Section:
    """A heading and what is below it."""

    title: str
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class Document:
    """A report.

    Attributes:
        lead: what comes before the first section, the answer first.
    """

    title: str
    lead: tuple[Part, ...]
    sections: tuple[Section, ...]


def to_markdown(document: Document) -> str:
    """The text of a report.md, whose pictures are the PNG files beside it."""
    parts = [f"# {markdown_text(document.title)}", *map(_part, document.lead), *map(_section, document.sections)]
    return "\n\n".join(part.strip("\n") for part in parts if part) + "\n"


def _section(section: Section) -> str:
    parts = [f"## {markdown_text(section.title)}", *map(_part, section.parts)]
    return "\n\n".join(part.strip("\n") for part in parts if part)


def _part(part: Part) -> str:
    if isinstance(part, Paragraph):
        return markdown_text(part.text)
    if isinstance(part, Warn):
        return f"> Warning: {markdown_text(part.text)}"
    if isinstance(part, Bullets):
        return "\n".join(f"- {markdown_text(item)}" for item in part.items)
    if isinstance(part, Code):
        fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", part.text)), default=0))
        return f"{fence}{part.language}\n{part.text.rstrip()}\n{fence}"
    if isinstance(part, (Picture, Image)):
        alt = re.sub(r"([\[\]\\])", r"\\\1", markdown_text(part.alt))
        path = f"{part.path}.png" if isinstance(part, Picture) else quote(part.path)
        return f"![{alt}]({path})"
    assert isinstance(part, Table)
    return part.markdown()


# By the figure's file name in `plots/`. Numbers belong in tables; here is what is drawn.
ALT_TEXTS = {
    "columns": "Every metric against the epoch, a panel for each with a curve for each of its columns, and the best "
    "epoch.",
    "accuracies": "A point for each seed: the accuracy of its final and of its saved model on the training and test "
    "rows, with the means.",
    "augmented": "Training images in the first column, and beside each the same image as augmentation passes it to the "
    "network.",
    "case_study": "Loss against the epoch on the training and the validation rows, a panel for each published arm up "
    "to its last epoch, with the epoch at which it stopped and the epoch that was saved.",
    "confusion": "A matrix of how many test images of each true class were predicted as each class.",
    "confusion_matrix": "A matrix of how many rows of each true class were predicted as each class.",
    "cost": "Error at the end against training time, a point for each arm, with the Pareto front: the arms that no "
    "other arm beats in both.",
    "curves": "{loss and metric} against the epoch, on the training and the validation rows, with the epoch "
    "at which training stopped and the best epochs.",
    "decisions": "The mean difference against the number of seeds, a panel for each comparison, with its anytime-valid "
    "and its plain 95 % interval, the difference that counts as none, and where it is decided.",
    "frontier": "For each stopping rule, the epochs that it trains against how much worse its selected epoch is than "
    "the best of all, with the Pareto front: the rules that no other rule beats in both.",
    "learning_rate": "The learning rate against the number of the update.",
    "moons": "The points of both moons over the model's probability of class 1, with its boundary at one half.",
    "predicted": "The predicted value against the true one, a dot for each row, with the line on which they are the "
    "same.",
    "range": "Training loss against a rising learning rate, with the suggested rates and the suggested bounds shaded.",
    "recommendation": "For each stopping rule, the epochs that it trains against its mean regret with its upper limit, "
    "the bound of that as a line, and the rule that is chosen marked.",
    "residuals": "What is predicted less what is true against what is predicted, a dot for each row, and beside it how "
    "often it is how large.",
    "scores": "How often which score is predicted, for the rows of each of the two targets.",
    "seed_values": "A point for each seed: the {metric} of its final and of its saved model, with the means.",
    "stop_epochs": "A point for each seed: the epoch at which it stopped and its best epochs, with the means.",
    "values": "A point for each run and a row for each arm: the value that is compared, its mean and 95 % interval.",
    "target": "How the target is distributed, for the rows that train, validate and test.",
    "validation_error": "Validation error against the epoch, a line for each arm.",
    "worst": "The test images that the model misclassified most confidently, with the true and the predicted class.",
}


def alt_text(name: str, headline: Headline = ACCURACY) -> str:
    """What the figure of a name shows; of a figure that is not ours, its name.

    Args:
        headline: the metric that counts.
    """
    text = ALT_TEXTS.get(name, f"Figure: {name.replace('_', ' ')}.")
    # Of other runs it is not known here whether there is a loss beside it.
    both = "Loss and accuracy (or error)" if headline == ACCURACY else f"Learning curves ({headline.label})"
    return text.replace("{metric}", headline.label).replace("{loss and metric}", both)


def values_figure(headline: Headline) -> str:
    """The name of the figure of what seeds came to."""
    return "accuracies" if headline == ACCURACY else "seed_values"
