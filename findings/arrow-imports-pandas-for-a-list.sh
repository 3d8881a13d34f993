#!/usr/bin/env bash
# pyarrow 26.0.1 beside pandas 3.1.1.
#
# One would guess that a program which never speaks of pandas does not load it: pyarrow does not need it, and says so.
# Seen: where pandas is installed, the first pyarrow.array of a plain list of Python imports it, as its values might be
# of pandas; in an environment without it nothing is missed. So an optional reader that shares an environment with a
# service makes the service's memory grow by what pandas and NumPy take.
#
# Output seen:
#   without pandas: 0 modules of pandas
#   with pandas, imported: 0 modules of pandas
#   with pandas, a list of text made an array: hundreds of modules of pandas
# shellcheck source=findings/lib.sh
. "$(dirname "$0")/lib.sh"
packages pyarrow==26.0.1
cat >"$work/finding.py" <<'PYTHON'
import sys

import pyarrow as pa

if "array" in sys.argv:
    pa.array(["a"])
print(sum(name.partition(".")[0] == "pandas" for name in sys.modules))
PYTHON
python=$work/python/bin/python
without=$("$python" "$work/finding.py" array)
"$work/python/bin/pip" install --quiet --disable-pip-version-check pandas==3.1.1
imported=$("$python" "$work/finding.py")
made=$("$python" "$work/finding.py" array)
echo "without pandas: $without modules of pandas"
echo "with pandas, imported: $imported modules of pandas"
echo "with pandas, a list of text made an array: $made modules of pandas"
[ "$without $imported" = "0 0" ] && ((made > 100))
