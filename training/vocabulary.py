"""Train the vocabulary of a network's binary code, for the place recognition of ORB-SLAM and stella_vslam.

    python -m training.vocabulary models/silk_vggnp_mu.onnx --images train_photos train_photos/clothing_cc0=0.15

The codes are those of the keypoints that the preset orb_slam selects. A photograph of weight 0.15 gives 0.15 of its
codes. The file, DBoW2's text format packed by gzip, is written beside the model and records which code it is for; when
the code is trained again, the vocabulary must be too. `python -m silk_ros.commands.vocabulary` converts it to the file
that a SLAM system loads. Training takes minutes on one core.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from silk_ros.backends.model import sha256
from silk_ros.binary import BinaryCode, Codes, binary_code
from silk_ros.command_line import command_parser, program
from silk_ros.vocabulary import Vocabulary, code_digest, similarity
from silk_ros.vocabulary_files import check_output, vocabulary_path, write_vocabulary

from .homography import HomographyRange, random_homography
from .options import add_data, readable_errors
from .photos import Photos
from .slam_features import slam_extractor
from .vocabulary_tree import MAX_NODES, train_vocabulary

log = logging.getLogger(__name__)

HELD_OUT_PHOTOS = 32
VIEW = HomographyRange(mixed_strength=True)


class CodesOfImages:
    """The binary codes of an image's selected keypoints."""

    def __init__(self, model: Path) -> None:
        """Raises what `slam_extractor` and `binary_code` raise."""
        self.code: BinaryCode = binary_code(model)
        self._extractor = slam_extractor(model)

    @property
    def min_size(self) -> int:
        """The least number of pixels of both sides of an image."""
        return self._extractor.min_size

    def __call__(self, gray: NDArray[np.uint8]) -> Codes:
        """Codes (M, 32) of a grey image (H, W) uint8, the best keypoint first."""
        return self.code.encode(self._extractor(gray).descriptors)


def gray_photo(photos: Photos, index: int) -> NDArray[np.uint8]:
    """A photograph in grey, uint8 (H, W). Raises ValueError for an unreadable file."""
    return np.asarray(cv2.cvtColor(photos.read(index), cv2.COLOR_RGB2GRAY), np.uint8)


def codes_of_photos(codes_of: CodesOfImages, photos: Photos, seed: int) -> tuple[Codes, NDArray[np.int64]]:
    """Codes (M, 32) of photographs and the number (M,) of the photograph of each.

    A photograph gives a random share of its codes: its probability, relative to the largest one. Photographs that are
    too small are counted and logged. Raises ValueError if fewer than two photographs have codes.
    """
    rng = np.random.default_rng(seed)
    codes, numbers, small = [], [], 0
    shares = photos.probability / photos.probability.max()
    for index in tqdm(np.flatnonzero(shares), desc="describing", unit="photograph"):
        gray = gray_photo(photos, index)
        if min(gray.shape) < codes_of.min_size:
            small += 1
            continue
        found = codes_of(gray)
        kept = rng.permutation(len(found))[: round(shares[index] * len(found))]
        codes.append(found[np.sort(kept)])
        numbers.append(np.full(len(kept), index))
    if small:
        log.warning("left out %d of the photographs: a side is below %d pixels", small, codes_of.min_size)
    if sum(map(bool, map(len, codes))) < 2:
        raise ValueError("fewer than two photographs have keypoints: give --images more of them, with texture")
    return np.concatenate(codes), np.concatenate(numbers)


def similarities(vocabulary: Vocabulary, codes_of: CodesOfImages, photos: Photos, seed: int) -> NDArray[np.float64]:
    """Similarity (P, P) of a view of each photograph, under a random homography, to each photograph.

    Photographs that are too small are left out.
    """
    rng = np.random.default_rng(seed)
    bags: list[list[NDArray[np.float64]]] = []
    for index in tqdm(range(len(photos)), desc="testing", unit="photograph"):
        gray = gray_photo(photos, index)
        side = min(gray.shape)
        if side >= codes_of.min_size:
            square = np.ascontiguousarray(gray[:side, :side])
            view = cv2.warpPerspective(square, random_homography(side, VIEW, rng), (side, side))
            bags.append([vocabulary.bag_of_words(codes_of(np.asarray(image, np.uint8))) for image in (square, view)])
    return np.array([[similarity(photo, view) for photo, _ in bags] for _, view in bags])


@readable_errors
def main(arguments: list[str] | None = None) -> None:
    parser = command_parser(None, __doc__)
    parser.add_argument("model", type=Path, help="the ONNX file, with a code of training.binary")
    add_data(parser, "--images", "as training.train --data", required=True)
    parser.add_argument("--output", type=Path, help=".txt.gz file to write (default: beside the model)")
    parser.add_argument("--nodes", type=int, default=MAX_NODES, help="maximum of the tree's nodes (%(default)s)")
    parser.add_argument(
        "--seed", type=int, default=0, help="seed of the choice of codes and first centres (%(default)s)"
    )
    options = parser.parse_args(arguments)
    output = options.output or vocabulary_path(options.model)
    if options.nodes < 1 or options.seed < 0:
        raise ValueError("--nodes must be at least 1, --seed at least 0")
    check_output(output)
    codes_of = CodesOfImages(options.model)
    photos = Photos.from_sources(dict(options.images))
    if len(photos) < 4:
        raise ValueError("a vocabulary needs at least 4 images, of which 2 are held out: give --images more of them")
    learned, held_out = photos.split(min(HELD_OUT_PHOTOS, len(photos) // 2))
    codes, numbers = codes_of_photos(codes_of, learned, options.seed)
    vocabulary = train_vocabulary(codes, numbers, code_digest(codes_of.code), options.nodes, options.seed)
    write_vocabulary(vocabulary, output)
    table = similarities(vocabulary, codes_of, held_out, options.seed)
    if len(table) > 1:
        own, other = np.diag(table).mean(), (table - 2 * np.eye(len(table))).max(axis=1).mean()
        print(f"similarity of a view to its photograph {own:.3f}, to the most similar of the others {other:.3f}")
        print(f"  (means over {len(table)} held-out photographs)")
    print(f"binary code: sha256 {vocabulary.code_digest}")
    print(f"{len(codes):,} codes of {len(np.unique(numbers))} photographs, hash {learned.hash()}, seed {options.seed}")
    print(f"{len(vocabulary.parents):,} nodes, {vocabulary.is_word.sum():,} words")
    print(f"wrote {output}: {output.stat().st_size:,} bytes, sha256 {sha256(output)}")
    convert = program("vocabulary", str(options.model), "--from", str(output), "--output", "silk.txt")
    print(f"next: {convert}    # for ORB-SLAM3")


if __name__ == "__main__":
    sys.exit(main())
