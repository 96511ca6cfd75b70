"""All that a fit learned: one frozen object, its frontier, its file and its words."""
