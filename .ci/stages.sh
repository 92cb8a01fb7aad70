# The stages of .ci/run, one function each; $bin is the environment that the tests were run in.

# Run a stage and say how long it took: on the clock, and on the processors.
stage() {
    local name=$1 start=$SECONDS used
    echo "+ $name"
    times > "$scratch/before"
    "${@:2}"
    times > "$scratch/after"  # not in $(...), which would count what that starts alone
    used=$(cat "$scratch/before" "$scratch/after" | processor_seconds)
    echo "= $name: $((SECONDS - start)) s, $used s of processors"
}

processor_seconds() {  # between two outputs of times: the second line of each is of all that was started and has ended
    awk 'NR % 2 == 0 { gsub("[ms]", " "); total[NR] = $1 * 60 + $2 + $3 * 60 + $4 } END { printf "%d", total[4] - total[2] }'
}

chromium_for_pages() {
    command -v chromium > /dev/null || { apt-get update -q > /dev/null; apt-get install -y -q chromium > /dev/null; }
}

# The README's test command as written; coverage is measured on the way.
tests() {
    local command
    command=$(awk '/^<!-- test command -->$/ { found = 1 } found && /^    / { print substr($0, 5); exit }' README.md)
    [ -n "$command" ] || { echo "README.md holds no test command behind '<!-- test command -->'"; exit 1; }
    echo "  $command"
    PYTEST_ADDOPTS="--cov --cov-report=" bash -euo pipefail -c "$command"
}

# Kernels as plain Python, which coverage can watch; what other tests and these leave out may be 10 % of the lines.
without_jit() {
    NUMBA_DISABLE_JIT=1 $bin/python -m pytest -m without_jit -n 2 --cov --cov-append --cov-report=
    $bin/coverage report --skip-covered --fail-under=90
}

# The same tests with every index checked; machine code with and without checks must not share a cache.
bounds_checked() {
    NUMBA_BOUNDSCHECK=1 NUMBA_CACHE_DIR=$scratch/bounds $bin/python -m pytest -m without_jit
}

lint() { $bin/ruff check . && $bin/ruff format --check .; }
types() { $bin/mypy; }
layers() { $bin/lint-imports --no-cache; }

fuzz_parsers() { $bin/python -m fuzz --seconds 5 --found "$scratch"; }

benchmark_smoke() { $bin/python -m benchmarks --quick --repeats 1 --only integral --only reading; }

docs() { [ ! -f mkdocs.yml ] || $bin/mkdocs build --strict --site-dir "$scratch/site"; }

# The lower bounds of setup.cfg, with the tests that meet the libraries most.
oldest_versions() {
    python3.11 -m venv "$scratch/oldest"
    "$scratch/oldest/bin/pip" install -q -c constraints-oldest.txt -e . pytest pytest-timeout pytest-xdist hypothesis
    NUMBA_CACHE_DIR=$scratch/oldest-cache "$scratch/oldest/bin/python" -m pytest -n 2 \
        --ignore-glob='*dicom*' tests/spatial tests/io tests/forest/test_forest.py tests/evaluation
}

# What users install: each archive in an environment of its own, away from the sources.
archives() {
    $bin/python -m build --outdir "$scratch/dist" . > "$scratch/build.log" 2>&1 || { cat "$scratch/build.log"; exit 1; }
    if unzip -l "$scratch"/dist/*.whl | grep -E " (experiments|tests|tools|benchmarks|data_splits|fuzz)/"; then
        echo "the wheel must hold the package alone"; exit 1
    fi
    smoke "$scratch"/dist/*.whl
    smoke "$scratch"/dist/*.tar.gz
}

smoke() {
    local home
    home=$(mktemp -d -p "$scratch")
    python3 -m venv "$home/venv"
    "$home/venv/bin/pip" install -q -c constraints.txt "$1"
    (cd "$home" && PATH="$home/venv/bin:$PATH" bash -euo pipefail "$root/.ci/smoke.sh")
}
