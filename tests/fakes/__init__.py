"""Programs that stand in for real ones; they speak the real protocols."""
