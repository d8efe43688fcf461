"""How work is run: who claims it, and what becomes of a run."""
