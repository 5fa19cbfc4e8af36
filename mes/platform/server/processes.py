"""Whether a process of this machine lives. Standard library only."""

import os


def is_alive(pid: int) -> bool:
    """Whether there is a process with this id, whoever runs it."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
