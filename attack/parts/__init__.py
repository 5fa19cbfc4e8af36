"""Every part of the attack. A new one is a file here and a line in `attack.__main__`."""
