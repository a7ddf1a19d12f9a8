"""The synthetic world: problems, solutions, skills, tokenizer, the pretraining of its base model and its gates."""
