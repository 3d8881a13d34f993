"""The `orderflow` command for `cli_process.py`; it hears Ctrl-C also where a shell has begun all in the background."""

import signal

from orderflow_cli.main import main

signal.signal(signal.SIGINT, signal.default_int_handler)
main()
