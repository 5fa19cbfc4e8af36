"""What `manage.py serve` says when it runs: every command works as it is printed, from any folder."""

import re
import shlex
from pathlib import Path
from typing import Any

from mes.management.commands.serve import greeting


def test_every_command_names_the_program_and_the_folder_of_the_data(settings: Any, tmp_path: Path) -> None:
    settings.DATA_DIR, settings.DEMO = tmp_path / "a plant's data", False
    commands = [line for line in greeting("127.0.0.1", 8000).splitlines() if "manage.py" in line]
    assert len(commands) == 2
    for line in commands:
        words = shlex.split(re.search(r"MES_DATA_DIR=.*", line)[0])  # type: ignore[index]
        assert words[0] == f"MES_DATA_DIR={settings.DATA_DIR}"
        assert Path(words[1]).is_absolute() and Path(words[2]).is_file()
