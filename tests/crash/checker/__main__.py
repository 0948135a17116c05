"""`python3 -m checker DIR`: judges the run in this folder again."""

import json
import sys
from pathlib import Path

from .gaps import gaps
from .judge import judge
from .reading import read

history = read(Path(sys.argv[1]))
report = judge(history)
print(json.dumps(report.as_json(), indent=1))
for gap in gaps(history)[:5]:
    print(f"partition {gap.partition} was silent for {gap.ms()} ms from {gap.started_at}")
sys.exit(0 if report.is_green() else 1)
