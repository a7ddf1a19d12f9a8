"""The methods of a study in words: how each is trained, and the settings in which it differs from the others."""

from typing import Any

from chord.study import Study


def described_methods(study: Study, stages: dict[str, dict]) -> dict[str, Any]:
    """`common`: kind of stage -> settings that all its methods share; `methods`: a record for each with the others.

    stages: method -> the specification with which it was trained; where it is not known, that of the study counts.
    """
    names = dict.fromkeys(name for comparison in study.regular for name in study.comparisons[comparison].methods)
    methods = [study.methods[name] for name in names]
    settings = {
        method.name: flat(stages.get(method.name) or method.stage.specification()) for method in methods if method.stage
    }
    kinds = sorted({one["kind"] for one in settings.values()})
    common = {kind: _shared([one for one in settings.values() if one["kind"] == kind]) for kind in kinds}
    described = []
    for method in methods:
        own = settings.get(method.name, {})
        start = study.start_of(method.name)
        described.append(
            {
                "name": method.name,
                "title": method.title,
                "paper": method.paper,
                "kind": own.get("kind"),
                "start": study.methods[start].title if start in study.methods else start,
                "settings": {key: value for key, value in own.items() if key not in common[own["kind"]]},
            }
        )
    return {"common": common, "methods": described}


def flat(values: dict, prefix: str = "") -> dict[str, Any]:
    """{"schedule": {"mu": 0.1}} -> {"schedule.mu": 0.1}."""
    flattened = {}
    for key, value in values.items():
        flattened |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flattened


def _shared(settings: list[dict[str, Any]]) -> dict[str, Any]:
    first, *others = settings
    return {key: value for key, value in first.items() if all(key in one and one[key] == value for one in others)}
