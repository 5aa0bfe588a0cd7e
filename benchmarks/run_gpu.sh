#!/usr/bin/env bash
# One command on a machine with an NVIDIA GPU, in under nine minutes: ceilings, build, tests, sanitizers, benchmarks.
#
#     OUT=folder bash benchmarks/run_gpu.sh [roofline build test sanitize bench]      (without names, all of them)
#
# Writes gpu-*.log and gpu-*.json to ${OUT:-benchmarks/results} and prints which steps passed.
# Needs nvcc, compute-sanitizer, a C++20 compiler and these packages in python3 (or $PYTHON); it installs nothing:
#   build  setuptools pybind11 cmake ninja
#   run    numpy ml_dtypes safetensors threadpoolctl tqdm xxhash array-api-compat jsonargparse lazy-loader scipy, cupy-cuda13x, torch
#   test   pytest pytest-benchmark scipy
set -u -o pipefail
cd "$(dirname "$0")/.." || exit 1
OUT=$(realpath -m "${OUT:-benchmarks/results}")
mkdir -p "$OUT"
PYTHON=${PYTHON:-python3}
BUDGET=${BUDGET:-520} # seconds for everything
export PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
arch=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2>/dev/null | head -1 | tr -d .)
[ "$arch" = 90 ] && arch=90a # with instructions that only Hopper has
export CMAKE_ARGS="${CMAKE_ARGS:-${arch:+-DCMAKE_CUDA_ARCHITECTURES=$arch-real}}"
[ -d /usr/local/cuda/bin ] && PATH=$PATH:/usr/local/cuda/bin
failed=0
table=()

# step NAME SECONDS COMMAND...: runs the command for at most SECONDS or the remaining time; output goes to gpu-NAME.log
step() {
  local name=$1 limit=$2 left=$((BUDGET - SECONDS)) start=$SECONDS code
  shift 2
  [ "$limit" -gt "$left" ] && limit=$left
  if [ "$limit" -lt 5 ]; then
    table+=("$(printf '%-10s not run: no time left' "$name")")
    failed=1
    return 1
  fi
  echo "== $name"
  timeout -k 5 "$limit" "$@" >"$OUT/gpu-$name.log" 2>&1
  code=$?
  tail -n "${TAIL:-12}" "$OUT/gpu-$name.log"
  table+=("$(printf '%-10s %s in %d s' "$name" "$([ $code = 0 ] && echo ok || echo "FAILED ($code)")" $((SECONDS - start)))")
  [ $code = 0 ] || failed=1
  return $code
}

wanted=" ${*:-roofline build test sanitize bench} "
has() { [[ $wanted == *" $1 "* ]]; }

gpu_tests=(tests/extraction/test_devices.py tests/backends tests/moments tests/pairwise tests/measures tests/comparison tests/analysis/test_profile.py)

# Each part runs in a separate process, so that a crash does not lose the results of other parts.
tests() {
  local code=0 part
  for part in "${gpu_tests[@]}"; do
    "$PYTHON" -m pytest -q -p no:cacheprovider -p no:xdist --tb=short -k "(cuda or device) and not emulated and not streams" "$part" || code=$?
  done
  return $code
}

sanitizers() {
  local code=0 tool
  for tool in memcheck racecheck; do
    echo "-- $tool"
    compute-sanitizer --tool "$tool" --error-exitcode 9 "$PYTHON" -m pytest -q -x -p no:cacheprovider -p no:xdist \
      -k "sanitize and cuda and not emulated" tests/backends || code=$?
  done
  return $code
}

has roofline && TAIL=40 step roofline 90 "$PYTHON" -m benchmarks.gpu_roofline --out "$OUT/gpu-roofline.json"
built=0
has build && { step build 240 "$PYTHON" setup.py -q build_ext --inplace || built=1; }
if [ $built = 0 ]; then
  settings=$(declare -p PYTHON gpu_tests)
  has test && step test 150 bash -c "$settings; $(declare -f tests); tests"
  has sanitize && step sanitize 120 bash -c "$settings; $(declare -f sanitizers); sanitizers"
  if has bench && [ -f benchmarks/bench_gpu.py ]; then
    TAIL=60 step bench 200 "$PYTHON" -m benchmarks.bench_gpu --roofline "$OUT/gpu-roofline.json" --out "$OUT/gpu-bench.json"
    TAIL=40 step fused 60 "$PYTHON" -m benchmarks.bench_gpu rsa_fused --roofline "$OUT/gpu-roofline.json"
  fi
fi
echo "== $(date -u +%F) $(nvidia-smi --query-gpu=name,driver_version --format=csv,noheader 2>/dev/null)"
printf '%s\n' "${table[@]}"
exit $failed
