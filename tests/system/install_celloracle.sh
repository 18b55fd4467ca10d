#!/usr/bin/env bash
# Makes an environment with the package celloracle, whose pins exclude the core's versions, and with this package.
#   install_celloracle.sh FOLDER    needs Python 3.11 and a C compiler
# celloracle's licence allows non-commercial academic use only.
set -euo pipefail
folder=$(realpath -m "$1")
cd "$(dirname "$0")/../.."
python3.11 -m venv "$folder"
install=("$folder/bin/pip" install --quiet -c constraints-celloracle.txt)
"${install[@]}" torch==2.13.0 numpy cython "setuptools<81" wheel
# velocyto comes as source, and its build finds numpy only without isolation.
"${install[@]}" --no-build-isolation --no-deps velocyto
"${install[@]}" torch==2.13.0 pytest -e '.[celloracle]'
