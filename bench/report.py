"""What is printed."""

from statistics import median

from bench.measure import Measurement, Pair, Result


def describe_pair(round_no: int, pair: Pair) -> str:
    """Return the line of a round."""
    case = pair.case
    return (
        f"  round {round_no}: floor {pair.floor.rate:>9,.0f}   case {case.rate:>9,.0f}   {pair.share:>6.1%}"
        f"   p50 {_ms(case.p50)}  p99 {_ms(case.p99)}   generator {case.client_cpu or 0:.0%} of a core"
        f"   load before {pair.load:.1f}"
    )


def describe(result: Result) -> str:
    """Return the summary of a case and its targets."""
    lines = [
        f"  floor  {_spread([pair.floor for pair in result.pairs], result.unit)}",
        f"  case   {_spread([pair.case for pair in result.pairs], result.unit)}",
        f"  share  median {result.share:.1%}, by pair {', '.join(f'{pair.share:.1%}' for pair in result.pairs)}",
    ]
    lines.append(f"  processor time per event: {_used(result)}")
    lines += [f"  {'pass' if reached else 'MISS'}   {text}" for text, reached in result.checks()]
    return "\n".join(lines)


def _spread(measurements: list[Measurement], unit: str) -> str:
    rates = [one.rate for one in measurements]
    return f"median {median(rates):,.0f} {unit}, from {min(rates):,.0f} to {max(rates):,.0f}"


def _used(result: Result) -> str:
    """Return the medians in microseconds: the floor's database beside the case's web server and database."""
    floors, cases = ([pair.floor.used for pair in result.pairs], [pair.case.used for pair in result.pairs])
    return (
        f"floor: database {median(one.database for one in floors) * 1e6:,.0f} µs; "
        f"case: web {median(one.web for one in cases) * 1e6:,.0f} µs, "
        f"database {median(one.database for one in cases) * 1e6:,.0f} µs"
    )


def _ms(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1000:5.1f} ms"
