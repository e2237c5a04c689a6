"""The pages of docs/reference, and the tables of events and metrics, each made from the code that it is about."""
