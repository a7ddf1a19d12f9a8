"""A training job on several devices: ranks, sharding, adapters, and an inference engine beside the trainer."""
