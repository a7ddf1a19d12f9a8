"""Training stages: pretraining of the base model, supervised fine-tuning, and the hybrid of RL and expert rows."""
