"""What the page of a station shows and does."""
