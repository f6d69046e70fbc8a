"""C++ programs that read clouds: their compilation, and clouds as their input."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from sensor_msgs.msg import PointCloud2

HEADERS = Path(sys.prefix) / "include"  # of the messages, in the wheels

# Reads a cloud from standard input, as `written` writes it.
READ_CLOUD = """
#include <iostream>
#include <sensor_msgs/msg/point_cloud2.hpp>

sensor_msgs::msg::PointCloud2 read_cloud() {
  sensor_msgs::msg::PointCloud2 cloud;
  std::size_t fields, bytes;
  std::cin >> cloud.height >> cloud.width >> cloud.point_step >> cloud.row_step >> cloud.is_bigendian;
  std::cin >> fields >> bytes;
  cloud.fields.resize(fields);
  for (auto & field : cloud.fields) {
    int datatype;
    std::cin >> field.name >> field.offset >> datatype >> field.count;
    field.datatype = datatype;
  }
  std::cin.get();
  cloud.data.resize(bytes);
  std::cin.read(reinterpret_cast<char *>(cloud.data.data()), bytes);
  return cloud;
}
"""


def written(cloud: PointCloud2) -> bytes:
    """A cloud as `read_cloud` reads it."""
    sizes = [cloud.height, cloud.width, cloud.point_step, cloud.row_step, int(cloud.is_bigendian)]
    head = [" ".join(map(str, [*sizes, len(cloud.fields), len(cloud.data)]))]
    head += [f"{field.name} {field.offset} {field.datatype} {field.count}" for field in cloud.fields]
    return "\n".join([*head, ""]).encode() + bytes(cloud.data)


def compiled(folder: Path, source: str, *options: str) -> Path:
    """A program, compiled with the headers of the messages; skips the test where there is no compiler or no headers."""
    if shutil.which("g++") is None or not (HEADERS / "sensor_msgs").is_dir():
        pytest.skip("no C++ compiler or no C++ headers of the messages")
    (folder / "main.cpp").write_text(source)
    command = ["g++", "-std=c++17", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "main.cpp", "-o", "program"]
    command += [f"-isystem{path}" for path in HEADERS.iterdir() if path.is_dir()]
    result = subprocess.run([*command, *options], cwd=folder, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    return folder / "program"


def output(program: Path, *arguments: str, given: bytes = b"") -> str:
    """What a program prints."""
    command = [str(program), *arguments]
    return subprocess.run(command, input=given, capture_output=True, timeout=60, check=True).stdout.decode()
