"""Corrections: functions of one class's probability, the families to choose from, and their descriptions."""
