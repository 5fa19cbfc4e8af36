"""What rules and holds cost those who work meanwhile.

`track-out-rule`, `track-out-catching`: boards leave a hand station where a hold rule looks at each, or while a hold
catches what comes to fit it, in turns with nothing of the kind (`leaving`). `held-units`: 10,000 units are held and
released in batches, beside a fifth of that; meanwhile other units of the same run enter a station (`held`).
"""

RULE, CATCHING, HELD = "track-out-rule", "track-out-catching", "held-units"
LEAVING = (RULE, CATCHING)
NAMES = (*LEAVING, HELD)
FIRST_ROUND = 600  # its requests have other numbers than those of the cases
BY = "bench"
