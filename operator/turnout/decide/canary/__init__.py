"""Rollouts: what the evidence says, and what follows from it. Pure."""
