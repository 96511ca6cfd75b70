"""Whether a correction is still right: rows to come are compared with those it was fitted on."""
