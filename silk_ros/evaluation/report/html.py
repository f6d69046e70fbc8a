"""The report as one self-contained HTML file: styles inline, pictures as data URIs."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from numpy.typing import NDArray

from ..results import Picture
from .glossary import READING
from .plots import Plot
from .report import Report, slug

TITLE = "Evaluation of local features"
PICTURE_BYTES = 5_000_000  # for all pictures of matches together, which keeps the page below 10 MB
_QUALITIES = ((1400, 80), (1200, 70), (960, 60), (720, 50), (480, 40))  # greatest width in pixels, WebP quality


def write_html(report: Report, plots: Sequence[Sequence[Plot]], path: Path) -> None:
    """Write the page. `plots` holds the plots of each outcome, in order."""
    environment = Environment(
        loader=PackageLoader("silk_ros.evaluation.report", "."), autoescape=True, undefined=StrictUndefined
    )
    environment.globals |= {"zip": zip, "reading": READING}
    environment.filters |= {"slug": slug, "setting": _setting_text, "uri": _uri}
    images = iter(_encoded([picture for outcome in report.outcomes for picture in outcome.pictures]))
    sections = [
        (outcome, drawn, [(picture.caption, next(images)) for picture in outcome.pictures])
        for outcome, drawn in zip(report.outcomes, plots)
    ]
    page = environment.get_template("report.html.j2").render(title=TITLE, report=report, sections=sections)
    path.write_text(page, encoding="utf-8")


def _setting_text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_setting_text(entry)}" for name, entry in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_setting_text, value))
    if not isinstance(value, float):
        return str(value)
    return f"{value:.0f}" if 1e3 <= abs(value) < 1e9 else f"{value:.4g}"


def _encoded(pictures: Sequence[Picture]) -> list[bytes]:
    """Each picture as WebP, in the best quality that PICTURE_BYTES allows."""
    encoded: list[bytes] = []
    for width, quality in _QUALITIES:
        encoded = [_webp(picture.image, width, quality) for picture in pictures]
        if sum(map(len, encoded)) <= PICTURE_BYTES:
            break
    return encoded


def _webp(image: NDArray[np.uint8], max_width: int, quality: int) -> bytes:
    factor = max_width / image.shape[1]
    if factor < 1:
        image = np.asarray(cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA), np.uint8)
    return cv2.imencode(".webp", image, [cv2.IMWRITE_WEBP_QUALITY, quality])[1].tobytes()


def _uri(data: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"
