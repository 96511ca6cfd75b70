"""The mixed-integer program in Pyomo: an independent referee for small problems."""
