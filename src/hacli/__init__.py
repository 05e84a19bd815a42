"""hacli: bring the servers of a dead compute host back, once."""
