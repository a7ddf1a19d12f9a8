"""Estimates what a study will need before it runs: jobs, rollouts, expert rows, tokens, time, memory and disk."""

from chord.plan.disk_space import bytes_needed
from chord.plan.job_counts import estimated_minutes, jobs, spent_and_wall_minutes
from chord.plan.layouts import layouts_record, layouts_text
from chord.plan.record import plan_record
from chord.plan.text import plan_text
from chord.plan.verdict import refusals
from chord.plan.work import questions, work

__all__ = [
    "bytes_needed",
    "estimated_minutes",
    "jobs",
    "layouts_record",
    "layouts_text",
    "plan_record",
    "plan_text",
    "questions",
    "refusals",
    "spent_and_wall_minutes",
    "work",
]
