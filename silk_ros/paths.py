"""Where the package's own files (models, config, launch) are: in the source tree, or installed under a prefix."""

from __future__ import annotations

from pathlib import Path

DEFAULT_MODEL = "silk_vggnp_mu.onnx"


def share_directory() -> Path:
    """The folder that holds models/, config/ and launch/. Raises FileNotFoundError if the installation lacks it."""
    package = Path(__file__).resolve().parent
    if (package.parent / "package.xml").is_file():
        return package.parent
    for prefix in package.parents:
        if (prefix / "share" / "silk_ros" / "package.xml").is_file():
            return prefix / "share" / "silk_ros"
    raise FileNotFoundError(f"no share/silk_ros folder above '{package}': install silk_ros again")


def default_model() -> Path:
    """The shipped VGGnp-mu network."""
    return share_directory() / "models" / DEFAULT_MODEL
