"""The report on a model that was trained and then corrected."""
