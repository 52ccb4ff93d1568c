"""What to do: pure functions from observed state to a list of actions, which are values."""
