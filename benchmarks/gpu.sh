#!/bin/sh
# Everything to measure and train on a CUDA machine, in order, in one command:
#
#   benchmarks/gpu.sh PHOTOS HPATCHES [OUTPUT]
#
# PHOTOS: folder to train on. HPATCHES: folder in HPatches layout to judge by. OUTPUT (runs/gpu) takes the checkpoints.
# It can be stopped at any moment and started again: trainings go on where they were. PYTHON chooses the interpreter,
# STEPS the length of the trainings (the configurations' own).
set -eu
if [ $# -lt 2 ]; then
    sed -n '2,8s/^# \{0,1\}//p' "$0"
    exit 2
fi
photos=$1 hpatches=$2 output=${3:-runs/gpu}
python=${PYTHON:-python3}
cd "$(dirname "$0")/.."
mkdir -p "$output"

if ! "$python" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())'; then
    echo "no CUDA device for PyTorch here: nothing to measure; on such a machine this script trains VGGnp-1 and VGGnp-4," \
        "measures the training step, and judges the networks"
    exit 0
fi

echo "== the training step: time and peak memory"
"$python" -m benchmarks.training --device cuda

for name in vggnp_1 vggnp_4; do
    echo "== training $name"
    resume=
    [ -e "$output/$name/last.safetensors" ] && resume=--resume
    # shellcheck disable=SC2086 - no words when empty
    "$python" -m training.train --config "$name" --data "$photos" --output "$output/$name" $resume ${STEPS:+steps=$STEPS}
    "$python" -m training.export "$output/$name/best.safetensors" "$output/silk_$name.onnx"
    "$python" -m training.plot "$output/$name" "$output/silk_$name.png"
done

echo "== judging them"
"$python" -m silk_ros.evaluation.evaluate homography "$hpatches" --output "$output/report" \
    --methods silk "$output/silk_vggnp_1.onnx" "$output/silk_vggnp_4.onnx" sift orb
