"""Training on a pruned model, and recovering its adapter for the whole one (LoRAM)."""
