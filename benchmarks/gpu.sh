#!/bin/sh
# All measurements and trainings for a CUDA machine, in order, in one command:
#
#   benchmarks/gpu.sh [PHOTOS HPATCHES [OUTPUT]]
#
# PHOTOS: folder to train on. HPATCHES: folder in HPatches layout to evaluate on; without the two nothing is trained.
# OUTPUT (runs/gpu): folder for results and checkpoints. The script can be stopped and started again: trainings resume.
# Environment: PYTHON, the interpreter; STEPS, the length of the trainings (the configurations' own); PARTS, the parts
# to run, out of "tests pipelines step training". Parts that cannot run here are skipped with the reason; the exit
# status is 1 if a part failed.
set -u
if [ $# -eq 1 ] || [ $# -gt 3 ]; then
    sed -n '2,10s/^# \{0,1\}//p' "$0"
    exit 2
fi
photos=${1:-} hpatches=${2:-} output=${3:-${OUTPUT:-runs/gpu}}
python=${PYTHON:-python3}
parts=${PARTS:-tests pipelines step training}
failed=
trap 'exit 130' INT TERM
cd "$(dirname "$0")/.." || exit 1

wanted() {
    case " $parts " in *" $1 "*) ;; *) echo "== skipped $1: not among PARTS ($parts)" && return 1 ;; esac
}

run() { # WHAT COMMAND...: a failure is remembered, and the script goes on
    echo "== $1"
    what=$1
    shift
    "$@" || { echo "== FAILED with $?: $what" && failed="$failed; $what" && return 1; }
}

gpu_tests() { # -m gpu, only in files with such tests: others may need packages that are not installed
    files=$(find test -name 'test_*.py' -exec grep -l 'mark\.gpu' {} + | sort)
    [ -n "$files" ] || { echo "skipped the tests on a GPU: none is marked gpu" && return 0; }
    # shellcheck disable=SC2086 - one word each
    "$python" -m pytest -m gpu -rs $files
    status=$?
    [ $status -ne 5 ] || { echo "skipped the tests on a GPU: none is marked gpu" && return 0; }
    return $status
}

has_cuda() {
    "$python" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' 2>/dev/null
}

train() { # NAME
    resume=
    [ -e "$output/$1/last.safetensors" ] && resume=--resume
    # shellcheck disable=SC2086 - no words when empty
    "$python" -m training.train --config "$1" --data "$photos" --output "$output/$1" $resume ${STEPS:+steps=$STEPS} &&
        "$python" -m training.export "$output/$1/best.safetensors" "$output/silk_$1.onnx" &&
        "$python" -m training.plot "$output/$1" "$output/silk_$1.png"
}

judge() { # evaluates the trained networks
    set --
    for name in vggnp_1 vggnp_4; do
        [ -e "$output/silk_$name.onnx" ] && set -- "$@" "$output/silk_$name.onnx"
    done
    "$python" -m silk_ros.commands.evaluate homography "$hpatches" --output "$output/report" \
        --methods silk "$@" sift orb
}

wanted tests && run "tests on a GPU" gpu_tests
wanted pipelines && run "TensorRT, ONNX Runtime and PyTorch" "$python" -m benchmarks.gpu --output "$output"

no_cuda="PyTorch is missing or sees no CUDA device"
if wanted step; then
    if has_cuda; then
        run "the training step: time and peak memory" "$python" -m benchmarks.training --device cuda
    else
        echo "== skipped the training step: $no_cuda"
    fi
fi
if wanted training; then
    if ! has_cuda; then
        echo "== skipped training and judging VGGnp-1 and VGGnp-4: $no_cuda"
    elif [ -z "$photos" ]; then
        echo "== skipped training and judging VGGnp-1 and VGGnp-4: no PHOTOS and HPATCHES were given"
    else
        for name in vggnp_1 vggnp_4; do
            run "training $name" train "$name"
        done
        run "judging them" judge
    fi
fi

[ -z "$failed" ] || { echo "== failed: ${failed#; }" && exit 1; }
