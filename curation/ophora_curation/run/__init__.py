"""How a run over many videos goes: jobs, seats for workers, recovery and progress."""
