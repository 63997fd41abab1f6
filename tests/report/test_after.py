"""What a user's own code wrote to a run's folder, in its report; the folder may be a stranger's."""

import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image as Pixels
from summaries import run_content

from stopcli.report import after
from stopcli.report.after import after_section, image_bytes
from stopcli.report.document import Bullets, Code, Document, Image, Paragraph, Table, to_markdown
from stopcli.report.html import to_html
from stopcli.runner.report import report_again
from stopcli.runs.files import write_json

SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><script>alert(1)</script></svg>'


def write(name, content, run="run"):
    path = Path(run, "after", name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def parts():
    sections = after_section(Path("run"))
    assert len(sections) <= 1
    return [part for section in sections for part in section.parts]


def rendered():
    document = Document("run", (), tuple(after_section(Path("run"))))
    return to_html(document, Path("run")), to_markdown(document)


def listed():
    return [item for part in parts() if isinstance(part, Bullets) for item in part.items]


def test_images_are_embedded_and_scripts_of_an_svg_do_not_run():
    write("b.svg", SVG)
    figure = Figure()
    figure.subplots().plot(np.arange(3))
    figure.savefig(write("a.png", b""))
    Pixels.new("RGB", (4, 4)).save(write("c.jpeg", b""), "JPEG")
    assert [part.path for part in parts()] == ["after/a.png", "after/b.svg", "after/c.jpeg"]
    page, text = rendered()
    assert re.findall(r'<img src="data:([\w/+]+);base64', page) == ["image/png", "image/svg+xml", "image/jpeg"]
    assert "alert(1)" not in page
    assert "![b.svg, drawn by after().](after/b.svg)" in text


def test_tables_show_their_first_rows_and_columns_and_texts_are_text():
    write("wide.csv", "\n".join(",".join(f"<i>{row}{column}" for column in range(30)) for row in range(500)))
    write("tabs.tsv", "a\tb\n1\t2\n")
    write("quoted.csv", 'name,note\n"x, y","two\nlines"\nonly\n')
    write("notes.md", "# Title\n<script>alert(1)</script>\n[link](http://nowhere)")
    tables = {part.title: part for part in parts() if isinstance(part, Table)}
    wide = tables["wide.csv (first 20 rows of 499, first 10 of 30 columns)"]
    assert (len(wide.rows), len(wide.columns)) == (20, 10)
    assert tables["tabs.tsv"].rows == (("1", "2"),)
    assert tables["quoted.csv"].rows == (("x, y", "two lines"), ("only", ""))
    assert [part.text for part in parts() if isinstance(part, Paragraph)] == ["`after/notes.md`:"]
    page, text = rendered()
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<i>0" not in page
    assert "```\n# Title\n<script>alert(1)</script>" in text


def test_a_large_table_is_read_as_far_as_it_is_shown(monkeypatch):
    monkeypatch.setattr(after, "_READ_OF_A_TABLE", 1000)
    write("big.csv", "a,b\n" + "1,2\n" * 10_000)
    (table,) = parts()
    assert table.title == "big.csv (first 20 rows)"
    assert set(table.rows) == {("1", "2")}


def test_whatever_else_is_listed_by_name_and_size(monkeypatch):
    monkeypatch.setattr(after, "LARGEST_IMAGE", 3000)
    write("vectors.npz", b"\0" * 12_345)
    write("fake.png", "no image")
    write("huge.svg", "<svg" + " " * 5000)
    write("binary.txt", b"\x00\x01")
    write("empty.csv", "")
    write("deep/er/x.bin", b"1")
    assert listed() == [
        "`after/binary.txt` (2 B)", "`after/empty.csv` (0 B)", "`after/fake.png` (8 B)", "`after/huge.svg` (5.0 kB)",
        "`after/vectors.npz` (12 kB)", "`after/deep/er/x.bin` (1 B)",
    ]  # fmt: skip


def test_more_files_than_anybody_looks_at_are_counted(monkeypatch):
    monkeypatch.setattr(after, "MOST_FILES", 3)
    monkeypatch.setattr(after, "MOST_IMAGES", 2)
    for i in range(5):
        write(f"{i}.svg", SVG)
    assert sum(isinstance(part, Image) for part in parts()) == 2
    assert listed() == [f"`after/2.svg` ({len(SVG)} B)", "and 2 more files"]


def test_a_strangers_folder_shows_nothing_of_other_folders_and_hangs_nowhere():
    Path("secret.txt").write_text("secret")
    Path("elsewhere").mkdir()
    Path("elsewhere/secret.csv").write_text("secret,1\n2,3\n")
    write("real.txt", "real")
    Path("run/after/link.txt").symlink_to(Path("secret.txt").absolute())
    Path("run/after/folder").symlink_to(Path("elsewhere").absolute())
    os.mkfifo("run/after/pipe.csv")
    write("a`b](x)\n<b>.bin", b"1")
    page, text = rendered()
    assert "secret" not in page + text
    assert "<b>.bin" not in page
    assert listed() == ["``after/a`b](x)\\n<b>.bin`` (1 B)"]
    assert any(isinstance(part, Code) and part.text == "real" for part in parts())
    shutil.rmtree("run/after")
    Path("run/after").symlink_to(Path("elsewhere").absolute())
    assert parts() == []


def test_a_sweep_shows_the_images_of_each_arms_first_run():
    for job in ("relu-seed0", "relu-seed1", "prelu-seed0"):
        write("curve.svg", SVG, run=f"sweep/jobs/{job}")
        write("numbers.csv", "a\n1\n", run=f"sweep/jobs/{job}")
    runs = {"relu": "relu-seed0", "prelu": "prelu-seed0", "sigmoid": "sigmoid-seed0"}
    (section,) = after.after_section_of_sweep(Path("sweep"), runs)
    images = [part for part in section.parts if isinstance(part, Image)]
    assert [image.path for image in images] == [
        "jobs/relu-seed0/after/curve.svg", "jobs/prelu-seed0/after/curve.svg"
    ]  # fmt: skip
    assert to_html(Document("sweep", (), (section,)), Path("sweep")).count("data:image/svg") == 2
    assert after.after_section_of_sweep(Path("sweep"), {}) == []


def test_an_image_that_became_a_link_since_is_not_read():
    path = write("a.svg", SVG)
    assert image_bytes(Path("run"), "after/a.svg") == SVG.encode()
    path.unlink()
    Path("other.svg").write_text(SVG)
    path.symlink_to(Path("other.svg").absolute())
    assert image_bytes(Path("run"), "after/a.svg") == b""


def test_without_files_there_is_no_section():
    assert after_section(Path("run")) == []
    Path("run/after").mkdir(parents=True)
    assert after_section(Path("run")) == []


def test_the_report_is_written_again_with_what_lies_there_now():
    Path("run").mkdir()
    write_json(Path("run/summary.json"), run_content(run_dir=str(Path("run").absolute())))
    write_json(Path("run/status.json"), {"state": "finished", "reason": ""})
    Path("run/config.toml").write_text('command = "moons"\n')
    write("later.csv", "neighbour,cosine\n17,0.93\n")
    report_again(Path("run"))
    assert "| neighbour | cosine |\n|---|---|\n| 17 | 0.93 |" in Path("run/report.md").read_text()
    assert "What the file&#39;s after() wrote" in Path("run/report.html").read_text()


@pytest.mark.parametrize("name", ["a b(c).svg", "ü.svg", "%20.svg"])
def test_names_are_written_as_addresses_in_markdown(name):
    write(name, SVG)
    _, text = rendered()
    (address,) = re.findall(r"\]\((after/\S+)\)$", text, re.MULTILINE)
    assert re.fullmatch(r"after/[\w%.]+", address)
