"""One side of `--against`: the product of one checkout in an installation of its own, measured round by round.

It is run in the folder of that checkout, by the checkout's own `bench`, of whatever version that is. Each line of the
input asks for a round, as JSON (`Round` in `bench.against`); each is answered by a line `{"web": …, "database": …,
"rate": …}`: seconds of processor time per event, events per second. It ends with its input.
"""

import json
import os
import sys
from typing import Any

from bench import installation, load, outbox
from bench.case import Plant
from bench.cases import CASES
from bench.installation import WebServer
from bench.processor import Used


def main() -> None:
    """Set the installation up, say so by an empty answer, and measure until the input ends."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is printed here is for nobody
    with installation.database():
        from bench import plant

        built = plant.build()
        with installation.web_server() as web:
            print("{}", file=answers)
            for line in sys.stdin:
                asked = json.loads(line)
                measure = _measure_outbox if asked["case"] in outbox.NAMES else _measure_case
                print(json.dumps(measure(asked, built, web)), file=answers)


def _measure_case(asked: dict[str, Any], built: Plant, web: WebServer) -> dict[str, float]:
    from bench import storage

    case, round_no = CASES[asked["case"]], asked["round_no"]
    times = {"warm_up": asked["warm_up"], "seconds": asked["seconds"]}
    if round_no == 1:
        storage.settle()
    case.prepare(round_no, case.connections, int(sum(times.values()) * case.fastest / case.connections))
    with storage.stretch(case, web.meter) as done:
        measured, done.requests = load.run(case, built, web.port, round_no=round_no, **times)
    return _answer(done.used, measured.rate)


def _measure_outbox(asked: dict[str, Any], built: Plant, web: WebServer) -> dict[str, float]:
    """Have a worker follow up events."""
    name, times = asked["case"], {key: asked[key] for key in ("round_no", "warm_up", "seconds")}
    if name == outbox.FOLLOWED:
        result = outbox.measure_followed(built, web.port, web.meter, **times)
    else:
        result = outbox.measure(name, quick=True, database=web.meter.database)
    return _answer(result.used, result.rate)


def _answer(used: Used, rate: float) -> dict[str, float]:
    return {"web": used.web, "database": used.database, "rate": rate}


if __name__ == "__main__":
    main()
