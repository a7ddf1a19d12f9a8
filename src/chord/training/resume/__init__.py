"""What lets a killed training job end where a straight one ends: checkpoints, signals, finished results."""
