"""The search for the best choice: one correction per class, by integer programming."""
