"""The material review board decides about a run whose outgoing inspection failed."""
