#!/usr/bin/env bash
# pyarrow 26.0.1, its reader of JSON (pyarrow.json.read_json) with an explicit schema.
#
# A column that is declared as date32 is given "2026-03-01". One would guess that it is read, as "2026-03-01T12:00:00Z" is
# for a timestamp column, and as the CSV reader does. Seen: ArrowInvalid, the column may hold numbers only. So days are
# read as text and cast after.
#
# Output seen:
#   timestamp: 2026-03-01 12:00:00
#   date32 from CSV: 2026-03-01
#   date32 from JSON: ArrowInvalid
#   date32 by a cast of text: 2026-03-01
# shellcheck source=findings/lib.sh
. "$(dirname "$0")/lib.sh"
packages pyarrow==26.0.1
cat >"$work/finding.py" <<'PYTHON'
from io import BytesIO

import pyarrow as pa
import pyarrow.csv
import pyarrow.json


def from_json(kind: pa.DataType, text: str) -> pa.Table:
    wanted = pa.json.ParseOptions(explicit_schema=pa.schema([("day", kind)]))
    return pa.json.read_json(BytesIO(b'{"day": "%s"}' % text.encode()), parse_options=wanted)


print("timestamp:", from_json(pa.timestamp("us"), "2026-03-01T12:00:00")["day"][0])
convert = pa.csv.ConvertOptions(column_types={"day": pa.date32()})
print("date32 from CSV:", pa.csv.read_csv(BytesIO(b"day\n2026-03-01"), convert_options=convert)["day"][0])
try:
    answer = str(from_json(pa.date32(), "2026-03-01")["day"][0])
except pa.ArrowInvalid as error:
    answer = type(error).__name__
print("date32 from JSON:", answer)
print("date32 by a cast of text:", from_json(pa.string(), "2026-03-01")["day"].cast(pa.date32())[0])
PYTHON
seen=$("$work/python/bin/python" "$work/finding.py")
echo "$seen"
[ "$seen" = "timestamp: 2026-03-01 12:00:00
date32 from CSV: 2026-03-01
date32 from JSON: ArrowInvalid
date32 by a cast of text: 2026-03-01" ]
