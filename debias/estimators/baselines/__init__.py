"""What a correction must be compared with: calibrations and supervised references."""
