"""How work is run: claims, the life of a run, and the engine that runs its steps."""
