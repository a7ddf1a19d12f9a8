"""A number of a part that must not exceed a limit."""


def check(name: str, value: float, limit: float) -> dict:
    """For the `checks` of a part's result; NaN does not pass."""
    return {"name": name, "value": value, "limit": limit, "passes": value <= limit}
