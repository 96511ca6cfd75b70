"""Whether a correction is still right: new rows are compared with those it was fitted on."""
