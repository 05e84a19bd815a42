"""Facts about the world and the decisions taken from them: frozen values and pure functions."""
