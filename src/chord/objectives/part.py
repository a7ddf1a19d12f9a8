"""What all parts of the objective share."""

from chord.settings import Settings


class Part(Settings):
    """Settings of one part. `name` in each subclass is the value a method's YAML chooses it by."""
