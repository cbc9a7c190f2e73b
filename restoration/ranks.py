"""Which of the processes that torchrun started says what is wrong with a request; asked before torch is imported."""

import os
import signal
import time

PATIENCE = 6.0  # seconds in which the first process has come as far, and torchrun has ended the others
APART = 2.0  # seconds between processes of one machine, so that one of them alone speaks


def speaks(code: int) -> bool:
    """Return whether this process prints a refusal before it ends with ``code``.

    All processes refuse a bad request, and the first prints it. Any other waits: once the first has failed, torchrun
    ends it; where that does not happen, the trouble is its own (a device that only it lacks, say), and it speaks.
    """
    if int(os.environ.get("WORLD_SIZE", 1)) == 1 or os.environ.get("RANK", "0") == "0":
        return True
    if "TORCHELASTIC_RUN_ID" not in os.environ:  # nobody ends it: whoever started it sees each process's code
        return False
    signal.signal(signal.SIGTERM, lambda *_: os._exit(code))
    time.sleep(PATIENCE + APART * int(os.environ.get("LOCAL_RANK", 0)))
    return True
