"""Files that people send: instructions and photos, kept once by their content, and what they are attached to."""
