"""The operator as a process: `python -m orderflow_operator`; `login.py` says which cluster it is for."""

import asyncio
import logging

from orderflow_operator import logs
from orderflow_operator.kubernetes.client import Api
from orderflow_operator.manager import Manager
from orderflow_operator.options import Options, parse

logger = logging.getLogger(__name__)

_RESTART_SECONDS = 2.0


def main() -> None:
    """Run the operator until it is told to stop."""
    options = parse(None)
    logs.set_up(options.log_level)
    asyncio.run(run(options))


async def run(options: Options) -> None:
    """Work until told to stop. kopf ends by itself when the CRD goes; the next manager waits for it to come back."""
    async with Api() as api:
        while (error := await Manager(api, options).run()) is not None:
            logger.warning("kopf ended, all begins anew: %r", error)
            await asyncio.sleep(_RESTART_SECONDS)


if __name__ == "__main__":
    main()
