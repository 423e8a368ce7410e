import json
import subprocess
import sys

import pytest

_SHOW = """
import json, resource, sys
limits = tuple(map(int, sys.argv[1:]))
resource.setrlimit(resource.RLIMIT_NOFILE, limits)
from keywright.app.config import Config
from keywright.app.descriptors import connections
taken = connections(Config(max_connections=300))
print(json.dumps([taken, resource.getrlimit(resource.RLIMIT_NOFILE)[0]]))
"""


@pytest.mark.parametrize(
    ("soft", "hard", "connections"), [(64, 1000, 300), (410, 410, 300), (200, 200, 90)]
)
def test_connections_get_what_is_left_of_the_hard_limit(
    soft: int, hard: int, connections: int
) -> None:
    argv = [sys.executable, "-c", _SHOW, str(soft), str(hard)]
    shown = subprocess.run(argv, capture_output=True, check=True, text=True)
    *warnings, result = shown.stdout.splitlines()
    assert json.loads(result) == [connections, hard]
    assert any("too few file descriptors" in line for line in warnings) == (connections < 300)
