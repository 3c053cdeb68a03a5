"""Snapshot → Decision: what the routers shall run and what is to be said about each object. Pure."""
