"""What the largest jobs of a study ask for."""

from chord.study import Study
from chord.study.settings import RULES, Resources


def resources(study: Study) -> dict[str, Resources]:
    """Rule -> what one of its jobs asks for. Without `pretrain`, whose result the study starts from."""
    return {rule: study.resources(rule) for rule in RULES if rule != "pretrain"}


def largest(study: Study, resource: str) -> tuple[str, int]:
    """The rule that asks for the most of a resource (threads, mem_mb, gpus), and how much."""
    asked = {rule: getattr(one, resource) for rule, one in resources(study).items()}
    rule = max(asked, key=asked.get)
    return rule, asked[rule]
