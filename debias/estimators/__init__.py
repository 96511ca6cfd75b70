"""Scikit-learn estimators over the search, their files, baselines and tuning."""
