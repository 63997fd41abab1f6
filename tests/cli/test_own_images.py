"""Photos of one's own, as the guide has it: from a folder of them to the class of a new one."""

from __future__ import annotations

import contextlib
import html
import io
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from forked import finished
from image_folders import png
from PIL import Image, ImageOps
from program import run, summary_of

from stopcli import read_image
from stopcli.errors import RequestError
from stopcli.runs.predictions import read_predictions

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "own-images.md"
COLOURS = {"leaf": (30, 160, 40), "sea": (20, 60, 200), "sun": (230, 200, 30)}
# Enough to tell three colours apart.
SMALL = ("--epochs", "3", "--batch-size", "4", "--augment", "none", "--learning-rate", "0.01")


def blocks(language: str, text: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def photo(name: str, seed: int) -> Image.Image:
    """A photo of one colour with noise, of a size of its own."""
    draw = np.random.default_rng(seed)
    height, width = draw.integers(20, 60, 2)
    pixels = np.clip(draw.normal(COLOURS[name], 40, (height, width, 3)), 0, 255)
    return Image.fromarray(pixels.astype(np.uint8))


def save(image: Image.Image, stem: Path, form: int) -> None:
    """A photo in one of the forms that people have: with transparency, grey, of a palette, turned, CMYK, plain."""
    if form == 0:
        image.putalpha(Image.linear_gradient("L").resize(image.size))
        image.save(stem.with_suffix(".png"))
    elif form == 1:
        image.convert("L").save(stem.with_suffix(".png"))
    elif form == 2:
        image.convert("P").save(stem.with_suffix(".png"), transparency=3)
    elif form == 3:
        exif = Image.Exif()
        exif[0x0112] = 6
        image.save(stem.with_suffix(".jpg"), exif=exif)
    elif form == 4:
        image.convert("CMYK").save(stem.with_suffix(".jpeg"))
    elif form == 5:
        stem.with_suffix(".png").write_bytes(png(np.asarray(image.convert("L")).astype(np.uint16) * 257, 16, 0))
    else:
        image.save(stem.with_suffix(".jpg"), quality=90)


@pytest.fixture(scope="module")
def trained(tensorflow: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with `photos`, and the run that the guide's commands make of them."""
    folder = tmp_path_factory.mktemp("own")
    for part, count in (("train", 14), ("val", 7), ("test", 7)):
        for number, name in enumerate(COLOURS):
            (folder / "photos" / part / name).mkdir(parents=True)
            for i in range(count):
                image = photo(name, 1000 * number + 100 * len(part) + i)
                save(image, folder / "photos" / part / name / f"{i}", i % 7)
    (train, listing, report) = blocks("sh", GUIDE.read_text("utf-8"))[0].splitlines()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("STOPCLI_CACHE_DIR", str(folder / "cache"))
        patch.delenv("STOPCLI_RUNS_DIR", raising=False)
        (folder / "photos" / "train" / "sea" / "broken.jpg").write_bytes(b"\xff\xd8\xff")
        assert run(*shlex.split(train)[1:], *SMALL) == 2
        assert not (folder / "runs").exists()
        assert run(*shlex.split(train)[1:], *SMALL, "--skip-unreadable") == 0
        (made,) = (folder / "runs").iterdir()
        assert run(*shlex.split(listing)[1:]) == 0
        words = [word for word in shlex.split(report)[1:] if word != "--open"]
        (made / "report.md").unlink()
        assert run(*words) == 0
        yield made


def predicted(snippet: str, path: Path) -> list[str]:
    """What the report's lines print for a photo."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        exec(snippet.replace('"photo.jpg"', repr(str(path))), {})
    return said.getvalue().splitlines()


@pytest.mark.slow
def test_the_lines_of_the_report_predict_as_the_run_did(trained: Path) -> None:
    (snippet,) = blocks("python", (trained / "report.md").read_text("utf-8"))
    assert snippet in html.unescape((trained / "report.html").read_text("utf-8"))
    (shown,) = blocks("python", GUIDE.read_text("utf-8"))
    assert shown.replace("RUN", str(trained)) == snippet
    photos = trained.parents[1] / "photos" / "test"
    pairs = [(path.parent.name, predicted(snippet, path)[0].partition(":")[0]) for path in sorted(photos.glob("*/*"))]
    assert len(pairs) == summary_of(trained)["rows"]["test"] == 21
    right = sum(true == claimed for true, claimed in pairs)
    assert right / 21 == pytest.approx(summary_of(trained)["best"]["test"]["accuracy"], abs=1e-6)
    saved = read_predictions(trained / "predictions.npz")
    assert saved is not None
    assert saved.saved is not None
    assert [claimed for _, claimed in pairs] == [sorted(COLOURS)[label] for label in saved.saved]
    assert len({claimed for _, claimed in pairs}) > 1


@pytest.mark.slow
def test_the_lines_work_as_pasted_on_a_photo_of_any_size(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (snippet,) = blocks("python", (trained / "report.md").read_text("utf-8"))
    Image.fromarray(np.full((1800, 2400, 3), COLOURS["sea"], np.uint8)).save("photo.jpg")
    printed = finished(snippet).splitlines()
    assert len(printed) == 3
    assert {line.partition(":")[0] for line in printed} == set(COLOURS)
    assert all(re.fullmatch(r"\w+: \d+\.\d%", line) for line in printed)


@pytest.mark.slow
def test_a_run_names_its_classes_and_what_was_left_out(trained: Path) -> None:
    assert json.loads((trained / "checkpoints" / "classes.json").read_text("utf-8")) == {
        "dataset": str(trained.parents[1] / "photos"),
        "classes": ["leaf", "sea", "sun"],
        "height": 64,
        "width": 64,
        "channels": 3,
        "low": 0.0,
        "high": 1.0,
        "resize": "bilinear",
        "transparent": "black",
    }
    assert (trained / "left_out.csv").read_text("utf-8").splitlines() == [
        "path,what,reason",
        "train/sea/broken.jpg,images that cannot be decoded,not a PNG or JPEG file",
    ]
    summary = summary_of(trained)
    assert summary["rows"] == {"train": 42, "validation": 21, "test": 21}
    left_out = "left out, images that cannot be decoded: 1 (train/sea/broken.jpg (not a PNG or JPEG file))"
    assert left_out in summary["warnings"]
    assert left_out in (trained / "report.md").read_text("utf-8")
    assert 'validation = "folder"' in (trained / "config.toml").read_text("utf-8")


def test_a_photo_is_prepared_as_images_are_for_training(tmp_path: Path) -> None:
    image = photo("sun", 1)
    image.save(tmp_path / "a.png")
    small = image.resize((9, 7), Image.Resampling.BILINEAR)
    read = read_image(tmp_path / "a.png", 7, 9)
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, np.asarray(small, np.float32) / np.float32(255))
    image.putalpha(0)
    image.save(tmp_path / "clear.png")
    assert not read_image(tmp_path / "clear.png", 8, 8).any()
    ImageOps.grayscale(small).save(tmp_path / "grey.png")
    grey = read_image(str(tmp_path / "grey.png"), 7, 9)
    np.testing.assert_array_equal(grey[..., 0], grey[..., 2])
    (tmp_path / "b.jpg").write_text("no image")
    for name, reason in (("b.jpg", "not a PNG or JPEG file"), ("c.jpg", "No such file or directory")):
        with pytest.raises(RequestError, match=rf"{name}: expected a JPEG or PNG image \({reason}\)"):
            read_image(tmp_path / name, 8, 8)
