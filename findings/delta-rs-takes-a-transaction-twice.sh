#!/usr/bin/env bash
# deltalake 1.6.6 (delta-rs), in a folder.
#
# Delta's protocol has application transactions (action txn: appId, version), by which a writer makes its commits
# idempotent. One would guess that a commit with a pair that the table has already is refused or passed over. Seen: it is
# taken, and its rows are there twice. Only a writer that read the table before another's commit of that application is
# refused. A commit without a transaction is put on top of what it has not read; with max_commit_retries=0 it is refused
# too: that alone fences every writer whose table is not the newest.
#
# Output seen:
#   the same transaction again: rows [1, 1], transaction 7
#   the same application, table read before: CommitFailedError, rows [1, 1, 2]
#   no transaction, table read before: taken, rows [1, 1, 2, 3]
#   no transaction, table read before, no retries: CommitFailedError, rows [1, 1, 2, 3]
# shellcheck source=findings/lib.sh
. "$(dirname "$0")/lib.sh"
packages deltalake==1.6.6 pyarrow==26.0.1
cat >"$work/finding.py" <<'PYTHON'
import sys

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake
from deltalake.exceptions import CommitFailedError

PLACE = sys.argv[1]


def written(table: DeltaTable, number: int, version: int | None, retries: int | None = None) -> str:
    told = None if version is None else [Transaction("app", version)]
    properties = CommitProperties(app_transactions=told, max_commit_retries=retries)
    try:
        write_deltalake(table, pa.table({"n": [number]}), mode="append", commit_properties=properties)
        answer = "taken"
    except CommitFailedError as error:
        answer = type(error).__name__
    return f"{answer}, {rows()}"


def rows() -> str:
    return f"rows {sorted(DeltaTable(PLACE).to_pyarrow_table()['n'].to_pylist())}"


DeltaTable.create(PLACE, pa.schema([("n", pa.int64())]))
for _ in range(2):
    written(DeltaTable(PLACE), 1, 7)
print(f"the same transaction again: {rows()}, transaction {DeltaTable(PLACE).transaction_version('app')}")
newest, *older = (DeltaTable(PLACE) for _ in range(4))
written(newest, 2, 8)
print("the same application, table read before:", written(older[0], 3, 9))
print("no transaction, table read before:", written(older[1], 3, None))
print("no transaction, table read before, no retries:", written(older[2], 4, None, 0))
PYTHON
seen=$("$work/python/bin/python" "$work/finding.py" "$work/table")
echo "$seen"
[ "$seen" = "the same transaction again: rows [1, 1], transaction 7
the same application, table read before: CommitFailedError, rows [1, 1, 2]
no transaction, table read before: taken, rows [1, 1, 2, 3]
no transaction, table read before, no retries: CommitFailedError, rows [1, 1, 2, 3]" ]
