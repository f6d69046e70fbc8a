"""The output of run_sequence for COLMAP: a database and, where it is asked for, a model. Needs pycolmap."""

from __future__ import annotations

import argparse
from collections.abc import Iterable

from ..images.sequence import SequenceFrame
from ..parameters.configuration import Configuration
from ..words import counted
from .colmap import DatabaseWriter, write_database
from .colmap_mapping import DATABASE, describe_model, map_images, mapper_command, viewer_command


def write_colmap(
    frames: Iterable[SequenceFrame], total: int | None, configuration: Configuration, options: argparse.Namespace
) -> None:
    """Write the frames, print what was found, and what to do next.

    total: number of frames; None where it is not known. options: output, window, loop and map of run_sequence.
    Raises ValueError or OSError, naming the fix.
    """
    front_end = configuration.settings.front_end
    filters = {name: getattr(front_end, name) for name in ("ratio", "min_similarity", "double_softmax")}
    writer = DatabaseWriter(options.output, options.window, options.loop, filters)
    done = write_database(frames, configuration.extractor, writer, total)
    pairs = f"{done.verified} of {counted(done.pairs, 'pair')} verified"
    print(f"{counted(done.images, 'image')}, {pairs} with {done.inliers:.0f} matches each")
    if not options.map:
        print(f"wrote {options.output / DATABASE}; next: {mapper_command(options.output)}")
        return
    folder, model = map_images(options.output)
    print(*describe_model(model, done.images), sep="\n")
    print(f"wrote {folder}; next: {viewer_command(options.output, folder)}")
