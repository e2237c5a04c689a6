"""What scripts/bench.py is made of: contenders (`programs`), questions (`measures`), and how answers are shown."""
