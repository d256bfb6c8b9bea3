"""What measures the programs themselves; in no image and no wheel."""
