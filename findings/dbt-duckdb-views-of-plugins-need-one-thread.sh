#!/usr/bin/env bash
# dbt-duckdb 1.11.1 with its plugin for Delta, dbt-core 1.11.16, duckdb 2.0.1, deltalake 1.6.6.
#
# dbt runs models in as many threads as the profile says, and dbt-duckdb serves them by cursors of one database. One would
# guess that sources of its plugins may be read by several threads. Seen: the tables that a plugin has loaded stand in a
# dictionary, into which one thread puts more while another goes through it for a new cursor: some models fail with
# RuntimeError, which others from run to run. With one thread none does.
#
# Output seen (which run fails first differs):
#   one thread: 5 runs, no error
#   two threads: dictionary changed size during iteration
# shellcheck source=findings/lib.sh
. "$(dirname "$0")/lib.sh"
packages dbt-core==1.11.16 dbt-duckdb==1.11.1 duckdb==2.0.1 deltalake==1.6.6 pyarrow==26.0.1
cat >"$work/project.py" <<'PYTHON'
import sys
from pathlib import Path

import pyarrow as pa
from deltalake import write_deltalake

HOME = Path(sys.argv[1])
NAMES = [f"t{number}" for number in range(40)]
(HOME / "models").mkdir(parents=True)
write_deltalake(HOME / "table", pa.table({"n": [1]}))
meta = f"{{plugin: delta, delta_table_path: '{HOME / 'table'}'}}"
tables = ", ".join(f"{{name: {name}, config: {{meta: {meta}}}}}" for name in NAMES)
(HOME / "models" / "sources.yml").write_text(f"version: 2\nsources: [{{name: lake, tables: [{tables}]}}]\n")
for name in NAMES:
    (HOME / "models" / f"of_{name}.sql").write_text(f"select * from {{{{ source('lake', '{name}') }}}}")
(HOME / "dbt_project.yml").write_text("name: finding\nversion: '1.0'\nprofile: finding\n")
output = "{type: duckdb, path: \"{{ env_var('FILE') }}\", threads: 2, plugins: [{module: delta}]}"
(HOME / "profiles.yml").write_text(f"finding: {{target: run, outputs: {{run: {output}}}}}\n")
PYTHON
"$work/python/bin/python" "$work/project.py" "$work/project"

# runs THREADS: builds anew up to five times, until one fails; says what was wrong
runs() {
    local run words
    for run in $(seq 5); do
        words=$(cd "$work/project" && FILE="$work/of_$1_$run.duckdb" DBT_SEND_ANONYMOUS_USAGE_STATS=false \
            "$work/python/bin/dbt" --no-version-check --no-use-colors --quiet run --threads "$1") && continue
        grep -o 'dictionary changed size during iteration' <<<"$words" | head -n 1
        return
    done
    echo '5 runs, no error'
}

seen="one thread: $(runs 1)
two threads: $(runs 2)"
echo "$seen"
[ "$seen" = "one thread: 5 runs, no error
two threads: dictionary changed size during iteration" ]
