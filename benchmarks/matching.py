"""Block-wise matching beside numpy's full similarity matrix: 32-D unit descriptors, identical matches.

python -m benchmarks.matching
"""

from __future__ import annotations

from benchmarks.common import parser, save, verdict
from silk_ros.evaluation.speed.matching import FULL, MATCH, measure_matching

SIZES = {2000: 2.7, 10_000: 9.0}  # number of descriptors -> least ratio


def main() -> None:
    parser(__doc__).parse_args()
    results, verdicts = {}, []
    for count, bound in SIZES.items():
        times = measure_matching(count, repeats=100 if count < 5000 else 15)
        ratio = times[FULL]["median"] / times[MATCH]["median"]
        verdicts.append(verdict(f"{FULL} / {MATCH}, n = {count}", ratio, bound, at_least=True))
        results[f"n = {count}, ms"] = times
    save("matching", {**results, "verdicts": verdicts}, per_machine=True)


if __name__ == "__main__":
    main()
