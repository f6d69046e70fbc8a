"""The metadata.yaml of a rosbag2 folder."""

from __future__ import annotations

from pathlib import Path

import yaml

from .names import METADATA, plain


def listed_files(folder: Path) -> dict[str, int | None]:
    """The files that the metadata of a folder name, as they are called when decompressed, and their message counts.

    A count is None where it is not known. Raises FileNotFoundError without metadata, ValueError for damaged ones.
    """
    try:
        content = yaml.safe_load((folder / METADATA).read_text(encoding="utf-8"))["rosbag2_bagfile_information"]
        names = [plain(Path(name)).name for name in content["relative_file_paths"]]
        if not names:
            raise ValueError("no files")
        counts = {plain(Path(file["path"])).name: int(file["message_count"]) for file in content.get("files") or ()}
        if len(names) == 1 and "message_count" in content:
            counts.setdefault(names[0], int(content["message_count"]))
    except (ValueError, yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"'{folder / METADATA}' is damaged and not used: ros2 bag reindex writes it anew") from error
    return {name: counts.get(name) for name in names}
