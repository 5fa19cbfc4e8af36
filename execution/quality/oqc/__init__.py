"""Outgoing inspection: a lot that is made is sampled before it leaves, and the decision is computed."""
