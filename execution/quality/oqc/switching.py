"""Which inspection comes next, by the lots so far: the switching rules of ISO 2859-1:1999 (9.3). Pure."""

from dataclasses import dataclass, replace

from execution.quality.oqc.models import SamplingStateName

WINDOW = 5  # consecutive lots of normal inspection that are looked at
TOO_MANY = 2  # of them not accepted: tightened
IN_A_ROW = 5  # accepted in tightened inspection: back to normal
MOST_NOT_ACCEPTED = 5  # in tightened inspection: discontinued
SCORE_OF_REDUCED = 30
NORMAL, TIGHTENED = SamplingStateName.NORMAL, SamplingStateName.TIGHTENED
REDUCED, DISCONTINUED = SamplingStateName.REDUCED, SamplingStateName.DISCONTINUED


@dataclass(frozen=True, slots=True)
class Standing:
    """Where sampling stands: fields as of `SamplingState`. Each state begins with nothing counted."""

    state: str = NORMAL
    score: int = 0
    recent: tuple[bool, ...] = ()
    accepted_in_row: int = 0
    not_accepted: int = 0


@dataclass(frozen=True, slots=True)
class Lot:
    """An original lot that was decided, and what of its plan the score asks for.

    `state` is the one that its plan was taken from. `lower_ac` is the Ac of the next lower AQL.
    """

    state: str
    accepted: bool
    ac: int
    nonconforming: int
    lower_ac: int | None


def after(standing: Standing, lot: Lot, *, reduced_allowed: bool) -> Standing:
    """Return where sampling stands after a lot.

    A lot that was drawn in another state than the present one counts only if it was not accepted: accepted, it says
    nothing of the present inspection.
    """
    if lot.accepted and lot.state != standing.state:
        return standing
    if standing.state == NORMAL:
        return _after_normal(standing, lot, reduced_allowed=reduced_allowed)
    if standing.state == TIGHTENED:
        return _after_tightened(standing, lot)
    if standing.state == REDUCED and not lot.accepted:
        return Standing(NORMAL)
    return standing


def _after_normal(standing: Standing, lot: Lot, *, reduced_allowed: bool) -> Standing:
    recent = (*standing.recent, lot.accepted)[-WINDOW:]
    if recent.count(False) >= TOO_MANY:
        return Standing(TIGHTENED)
    score = _score_after(standing.score, lot)
    if score >= SCORE_OF_REDUCED and reduced_allowed:
        return Standing(REDUCED)
    return replace(standing, score=score, recent=recent)


def _score_after(score: int, lot: Lot) -> int:
    if not lot.accepted:
        return 0
    if lot.ac < 2:
        return score + 2
    return score + 3 if lot.lower_ac is not None and lot.nonconforming <= lot.lower_ac else 0


def _after_tightened(standing: Standing, lot: Lot) -> Standing:
    if lot.accepted:
        in_row = standing.accepted_in_row + 1
        return Standing(NORMAL) if in_row >= IN_A_ROW else replace(standing, accepted_in_row=in_row)
    not_accepted = standing.not_accepted + 1
    if not_accepted >= MOST_NOT_ACCEPTED:
        return Standing(DISCONTINUED, not_accepted=not_accepted)
    return replace(standing, accepted_in_row=0, not_accepted=not_accepted)
