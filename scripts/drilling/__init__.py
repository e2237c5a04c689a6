"""What the operator's drill runs in processes of its own."""
