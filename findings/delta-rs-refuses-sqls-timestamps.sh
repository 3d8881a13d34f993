#!/usr/bin/env bash
# deltalake 1.6.6 (delta-rs), predicates of DeltaTable.delete on a column of timestamps in UTC, the type that Delta's
# `timestamp` is read as.
#
# One would guess that SQL's own literal, TIMESTAMP '2026-02-01 00:00:00', compares with such a column, and that a bare
# string is what is risky. Seen: the literal, a CAST to TIMESTAMP and to_timestamp() are of nanoseconds without a zone,
# and refused when the table's files are judged; the string is taken for a time and deletes the right rows, and so does
# a cast to the column's exact type of Arrow.
#
# Output seen:
#   TIMESTAMP '2026-02-01 00:00:00': DeltaError
#   CAST('2026-02-01' AS TIMESTAMP): DeltaError
#   to_timestamp('2026-02-01T00:00:00Z'): DeltaError
#   '2026-02-01T00:00:00Z': [2]
#   arrow_cast('2026-02-01T00:00:00Z', 'Timestamp(Microsecond, Some("UTC"))'): [2]
# shellcheck source=findings/lib.sh
. "$(dirname "$0")/lib.sh"
packages deltalake==1.6.6 pyarrow==26.0.1
cat >"$work/finding.py" <<'PYTHON'
import sys
from datetime import UTC, datetime

import pyarrow as pa
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import DeltaError

times = pa.array([datetime(2026, month, 1, tzinfo=UTC) for month in (1, 3)], pa.timestamp("us", tz="UTC"))
for limit in (
    "TIMESTAMP '2026-02-01 00:00:00'",
    "CAST('2026-02-01' AS TIMESTAMP)",
    "to_timestamp('2026-02-01T00:00:00Z')",
    "'2026-02-01T00:00:00Z'",
    """arrow_cast('2026-02-01T00:00:00Z', 'Timestamp(Microsecond, Some("UTC"))')""",
):
    write_deltalake(sys.argv[1], pa.table({"at": times, "number": [1, 2]}), mode="overwrite")
    try:
        DeltaTable(sys.argv[1]).delete(f"at < {limit}")
        answer = str(DeltaTable(sys.argv[1]).to_pyarrow_table()["number"].to_pylist())
    except DeltaError as error:
        answer = type(error).__name__
    print(f"{limit}: {answer}")
PYTHON
seen=$("$work/python/bin/python" "$work/finding.py" "$work/table")
echo "$seen"
[ "$seen" = "TIMESTAMP '2026-02-01 00:00:00': DeltaError
CAST('2026-02-01' AS TIMESTAMP): DeltaError
to_timestamp('2026-02-01T00:00:00Z'): DeltaError
'2026-02-01T00:00:00Z': [2]
arrow_cast('2026-02-01T00:00:00Z', 'Timestamp(Microsecond, Some(\"UTC\"))'): [2]" ]
