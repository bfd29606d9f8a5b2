"""A sheet of images as networks get them: resized, cropped, normalised, and made visible again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import StoreError
from bench.io import no_file
from bench.plan.job import Job

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

    from bench.tasks.evaluate import EvaluateSettings

_IMAGES = 8  # of a network
_SIDE = 160  # px of each on the sheet
_TEXT = 16  # px of a line


def draw(jobs: Sequence[Job[EvaluateSettings]], file: Path) -> Path:
    """Draw the first images of evaluations, a row a network, with their classes; return the file.

    Raises:
        StoreError: if it cannot be written.
        BenchError: if a network or an image is of no use.
    """
    from PIL import Image, ImageDraw

    from bench.tasks._given import as_given

    if what := no_file(file):  # a pipe would wait for its other end
        raise StoreError(f"cannot draw {file}: {what}", "name a file that ends in .png")
    rows = [(job.label(), *as_given(job, _IMAGES)) for job in jobs]
    height = _SIDE + 2 * _TEXT
    sheet = Image.new("RGB", (_IMAGES * _SIDE, len(rows) * height), "white")
    pen = ImageDraw.Draw(sheet)
    for row, (title, images, classes) in enumerate(rows):
        top = row * height
        pen.text((2, top), _plain(title), fill="black")
        for place, (image, name) in enumerate(zip(images, classes, strict=True)):
            sheet.paste(_picture(image), (place * _SIDE, top + _TEXT))
            pen.text((place * _SIDE + 2, top + _TEXT + _SIDE), _plain(name)[:26], fill="black")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        sheet.save(file)
    except OSError as error:
        raise StoreError(f"cannot draw {file}: {error.strerror or error}", "name another file") from error
    except ValueError as error:  # an ending that Pillow does not know
        raise StoreError(f"cannot draw {file}: {error}", "name a file that ends in .png") from error
    return file


def _plain(text: str) -> str:
    """Return a text in the letters that Pillow's own font has."""
    return text.encode("latin-1", "replace").decode("latin-1")


def _picture(image: Tensor) -> Image:
    """Return an image [C, H, W] of 0 to 1 as a picture that fits its place."""
    from PIL import Image

    array = (image.expand(3, -1, -1) * 255).round().byte().permute(1, 2, 0).numpy()
    picture = Image.fromarray(array)
    share = (_SIDE - 4) / max(picture.size)
    size = max(1, round(picture.width * share)), max(1, round(picture.height * share))
    return picture.resize(size, Image.Resampling.NEAREST if share > 1 else Image.Resampling.BILINEAR)
