"""Convert the vocabulary of a network to the file that a SLAM system loads.

    vocabulary --output silk.txt                     DBoW2's text format: ORB-SLAM2, ORB-SLAM3
    vocabulary --output silk.fbow                    FBoW's format: stella_vslam
    vocabulary my_model.onnx --output my_model.txt
    vocabulary my_model.onnx --from voc.txt.gz --output my_model.fbow

A vocabulary belongs to the binary code of one network; that of another code is refused. `python -m training.vocabulary`
trains one for a network of your own.
"""

from __future__ import annotations

import sys
from pathlib import Path
from shlex import quote

from ..binary import binary_code
from ..command_line import command_parser, program
from ..paths import default_model
from ..vocabulary import check_code
from ..vocabulary_files import check_output, read_vocabulary, vocabulary_path, write_vocabulary


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = command_parser("vocabulary", __doc__)
    parser.add_argument("model", type=Path, nargs="?", help="exported ONNX file with a binary code (the shipped one)")
    parser.add_argument("--from", type=Path, dest="source", metavar="FILE", help=".txt.gz file (beside the model)")
    parser.add_argument("--output", type=Path, required=True, help=".txt for ORB-SLAM or .fbow for stella_vslam")
    options = parser.parse_args(arguments)
    try:
        check_output(options.output)
        model = options.model or default_model()
        binary_code(model)  # its error comes first: a model without a code has no vocabulary either
        vocabulary = read_vocabulary(options.source or vocabulary_path(model))
        check_code(vocabulary, model)
        write_vocabulary(vocabulary, options.output)
    except (OSError, ValueError) as error:
        print(f"vocabulary: {error}", file=sys.stderr)
        return 1
    print(f"wrote {options.output} with {vocabulary.is_word.sum():,} words; next: {_next_step(options.output)}")
    return 0


def _next_step(written: Path) -> str:
    """What to do with a vocabulary of a format."""
    if written.suffix == ".fbow":
        return f"start stella_vslam with -v {quote(str(written))}"
    if written.suffix == ".gz":
        return f"keep it beside its model; `{program('vocabulary', '--output', 'silk.txt')}` writes ORB-SLAM's text"
    return f"start ORB-SLAM with {quote(str(written))} as its first argument, in place of ORBvoc.txt"


if __name__ == "__main__":
    sys.exit(main())
