"""One plant of `--grown`, in an installation of its own: makes it, says so by an empty answer, and answers questions.

Each line of the input is one, as JSON: a round of a case is answered by its percentiles in seconds, `lists` by all
addresses, an `address` by what it takes, `rules` by the seconds of each rule of integrity. It ends with its input, and
takes all away.
"""

import argparse
import json
import os
import sys
import time
from dataclasses import asdict
from typing import Any

from bench import installation, load
from bench.case import Plant
from bench.cases import CASES
from bench.installation import WebServer
from bench.outcomes import unwind_on_signals


def main() -> None:
    """Make the plant and answer until the input ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--values", type=int, required=True)
    parser.add_argument("--months", type=int, required=True)
    options = parser.parse_args()
    unwind_on_signals()
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is printed here is for nobody
    with installation.database() as url:
        from bench import grown, lists, plant, storage

        grown.build(values=options.values, months=options.months)
        built = plant.build()
        storage.settle()
        with installation.web_server() as web, lists.reader(web.port, url) as reader:
            print("{}", file=answers)
            for line in sys.stdin:
                print(json.dumps(_answer(json.loads(line), built, web, reader)), file=answers)


def _answer(asked: dict[str, Any], built: Plant, web: WebServer, reader: Any) -> dict[str, Any]:
    from bench import addresses

    if "lists" in asked:
        return {"addresses": [asdict(address) for address in addresses.find_all()]}
    if "address" in asked:
        return asdict(reader.read(addresses.Address(**asked["address"])))
    if "rules" in asked:
        return time_rules()
    return _measure(asked, built, web)


def time_rules() -> dict[str, float]:
    """Return the seconds that each rule of integrity takes in the whole plant, the best of three."""
    from django.db import connection

    from mes.platform.monitoring import integrity

    def time_one(rule: integrity.Rule) -> float:
        began = time.perf_counter()
        with connection.cursor() as cursor:
            cursor.execute(integrity.ASK.replace("%s", rule.broken))
        return time.perf_counter() - began

    return {rule.name: min(time_one(rule) for _time in range(3)) for rule in integrity.rules}


def _measure(asked: dict[str, Any], built: Plant, web: WebServer) -> dict[str, Any]:
    """Measure a round. That every event is stored is not counted here: counting a large table would warm it up."""
    from django.db import connection

    case, round_no = CASES[asked["case"]], asked["round_no"]
    times = {"warm_up": asked["warm_up"], "seconds": asked["seconds"]}
    case.prepare(round_no, case.connections, int(sum(times.values()) * case.fastest / case.connections))
    with connection.cursor() as cursor:
        cursor.execute("CHECKPOINT")  # so that the write-ahead log is as short as at any other's start
    measured, _requests = load.run(case, built, web.port, round_no=round_no, **times)
    return {"p50": measured.p50, "p99": measured.p99}


if __name__ == "__main__":
    main()
