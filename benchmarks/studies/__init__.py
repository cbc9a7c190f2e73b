"""Studies that put a paper's claims to the test: one command each, claims stated before anything is measured."""
