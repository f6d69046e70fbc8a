"""COLMAP's incremental mapping of a database that run_sequence wrote. Needs pycolmap."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from shlex import join
from typing import Any

from ..images.console import progress_bar
from .colmap_cameras import PIXEL_CENTRE, pycolmap

log = logging.getLogger(__name__)

DATABASE, IMAGES, MODELS = "database.db", "images", "sparse"  # in the output folder


def map_images(folder: Path) -> tuple[Path, Any]:
    """Incremental mapping of the database in a folder by COLMAP, which refines the cameras without a calibration.

    Writes models to sparse/0, 1, ... Returns the folder and pycolmap.Reconstruction of the model with most images.
    Raises ValueError, naming the fix, if nothing can be mapped.
    """
    database = pycolmap.Database.open(folder / DATABASE)
    count, overlaps = database.num_images(), database.num_inlier_matches() > 0
    cameras = database.read_all_cameras()
    database.close()
    calibrated = {camera.camera_id for camera in cameras if camera.has_prior_focal_length}
    options = pycolmap.IncrementalPipelineOptions(random_seed=0, constant_cameras=calibrated)
    (folder / MODELS).mkdir(exist_ok=True)
    level, pycolmap.logging.minloglevel = pycolmap.logging.minloglevel, int(pycolmap.logging.ERROR)
    try:
        with progress_bar("mapping", "image", count) as progress:

            def add(images: int) -> None:  # a model that is given up, or another one, counts its images again
                progress.update(min(images, count - progress.n))

            models = pycolmap.incremental_mapping(
                folder / DATABASE,
                folder / IMAGES,
                folder / MODELS,
                options,
                initial_image_pair_callback=lambda: add(2),
                next_image_callback=lambda: add(1),
            )
    finally:
        pycolmap.logging.minloglevel = level
    if not models:
        raise ValueError(f"COLMAP could not map '{folder}': {_remedy(overlaps, len(calibrated) == len(cameras))}")
    largest = max(models, key=lambda number: models[number].num_reg_images())
    if len(models) > 1:
        log.info("COLMAP built %d models, which it could not join; the one with most images follows", len(models))
    return folder / MODELS / str(largest), models[largest]


def _remedy(overlaps: bool, is_calibrated: bool) -> str:
    if not overlaps:
        return "no two images show the same things: give images that overlap more, with a smaller --every"
    motion = "the camera must move sideways between the images: give a larger --window, or a larger --every"
    return motion if is_calibrated else f"{motion}; or the focal length was guessed too badly: give it with --camera"


def describe_model(model: Any, count: int) -> Iterator[str]:
    """Lines about a pycolmap.Reconstruction of `count` images: what it holds, and its cameras."""
    yield (
        f"{model.num_reg_images()} of {count} images registered, {model.num_points3D():,} points, "
        f"mean reprojection error {model.compute_mean_reprojection_error():.2f} px, "
        f"mean track length {model.compute_mean_track_length():.1f} images"
    )
    for number, camera in sorted(model.cameras.items()):
        names = camera.params_info.split(", ")
        values = ", ".join(f"{name} {value:.6g}" for name, value in zip(names, camera.params))
        known = "as given" if camera.has_prior_focal_length else f"estimated; as an option {_option(camera)}"
        yield f"camera {number}, {camera.width}x{camera.height}: {camera.model_name} {values} ({known})"


def _option(camera: Any) -> str:
    """The option --camera for an estimated camera, a SIMPLE_RADIAL, in OpenCV's convention."""
    focal, x, y, radial = camera.params
    return f"--camera {focal:.2f},{focal:.2f},{x - PIXEL_CENTRE:.2f},{y - PIXEL_CENTRE:.2f},{radial:.5f},0,0,0"


def mapper_command(folder: Path) -> str:
    """The shell command with which COLMAP's program maps a database."""
    return f"{join(['mkdir', str(folder / MODELS)])} && {join(_command('mapper', folder, output=folder / MODELS))}"


def viewer_command(folder: Path, model: Path) -> str:
    """The shell command with which COLMAP's program shows a model."""
    return join(_command("gui", folder, **{"import": model}))


def _command(name: str, folder: Path, **paths: Path) -> list[str]:
    files = {"database": folder / DATABASE, "image": folder / IMAGES, **paths}
    return ["colmap", name, *(word for key, path in files.items() for word in (f"--{key}_path", str(path)))]
