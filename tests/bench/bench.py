"""What the flow can do on this machine, and what Kafka and Postgres alone could: `make bench` runs it.

`bench.py [--quick]` writes artifacts/bench.json and prints a table. A quick run takes three to four minutes on two
cores, a full one a multiple of that, most of it the turns of tracing. docs/performance.md says how to read the figures.
The services share a process, unless ORDERFLOW_TEST_PLACEMENT says otherwise.
"""

import os
import sys
from pathlib import Path

os.environ.setdefault("ORDERFLOW_TEST_PLACEMENT", "Together")  # read as the fleet is imported
sys.path.insert(0, str(Path(__file__).parents[1]))  # for `support`, as pytest has it

from measure import main

if __name__ == "__main__":
    main()
