"""What scripts/soak.py is made of: the jobs, the load, the faults, and the judgement at the end."""
