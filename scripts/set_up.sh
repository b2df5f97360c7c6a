#!/bin/sh
# Makes a virtual environment with the plugin and what its tests need, and with RAY the
# launcher of Ray.
# Usage: scripts/set_up.sh PYTHON FOLDER [RAY]
#
# PyTorch comes first: on a machine without an NVIDIA GPU its CPU build, if pip is
# configured to find one (on Linux the default index has only the CUDA build, several
# GB larger); elsewhere the default build.
set -eu

python=${1:-}
folder=${2:?usage: scripts/set_up.sh PYTHON FOLDER [RAY]}
if [ -z "$python" ]; then
    echo "no Python 3.10, 3.11 or 3.12 found: install one, or name it as PYTHON=..." >&2
    exit 1
fi

torch=$(sed -n 's/^torch==//p' constraints.txt)
"$python" -m venv --clear "$folder"
pip="$folder/bin/python -m pip install --quiet --disable-pip-version-check"
if [ "$(uname -s)" = Linux ] && ! command -v nvidia-smi >/dev/null 2>&1; then
    if ! $pip "torch==$torch+cpu"; then
        echo "pip finds no CPU build of torch $torch: installing the default build." >&2
        echo "To avoid the download of CUDA, add PyTorch's CPU index to pip's config." >&2
        $pip "torch==$torch"
    fi
else
    $pip "torch==$torch"
fi
constraints=constraints.txt
if [ "$("$folder/bin/python" -c 'import sys; print(sys.version_info[:2])')" != "(3, 11)" ]; then
    constraints="$folder/constraints.txt"
    echo "torch==$torch" >"$constraints"
fi
extras=test
if [ -n "${3:-}" ]; then
    # Ray's launcher needs older versions of these.
    grep -vE '^(cloudpickle|joblib|python-dateutil)==' "$constraints" >"$folder/ray.txt"
    constraints="$folder/ray.txt"
    extras=test,ray
fi
$pip --constraint "$constraints" --editable ".[$extras]"
