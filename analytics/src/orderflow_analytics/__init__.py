"""A flow's events for questions: the sink that keeps them, the lake that types them, and what is asked of it."""

import os

# delta-rs has an allocator of its own, which keeps what was freed for ten seconds: 45 MB of a run with large events. It
# reads this as it is loaded, so it stands before every import of deltalake.
os.environ.setdefault("_RJEM_MALLOC_CONF", "dirty_decay_ms:0,muzzy_decay_ms:0")
