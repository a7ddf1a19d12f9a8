# Prints after each job about how much time is left: the study's estimate, scaled by the speed of this machine so far.
import logging
import time
from functools import cache, partial

from chord.plan import estimated_minutes
from snakemake.logging import logger
from snakemake_interface_logger_plugins.common import LogEvent

# Estimates do not depend on the seed.
estimate = cache(partial(estimated_minutes, STUDY))


def minutes_of(job) -> float:
    """The estimated minutes of a job in Snakemake's plan; a rule that only collects files takes no time."""
    if job.rule.name not in JOB_OF_RULE:
        return 0.0
    names = {name: value for name, value in job.wildcards.items() if name in ("method", "benchmark", "base")}
    return estimate(JOB_OF_RULE[job.rule.name], **names)


class TimeLeft(logging.Handler):
    """Listens to Snakemake's events. estimates: job id -> minutes."""

    def __init__(self, estimates: dict[int, float], cores: int):
        super().__init__()
        self.left, self.cores = estimates, cores
        self.started: dict[int, float] = {}
        self.estimated, self.measured = 0.0, 0.0  # minutes of the finished jobs

    def emit(self, record: logging.LogRecord) -> None:
        match getattr(record, "event", None):
            case LogEvent.JOB_STARTED:
                self.started |= dict.fromkeys(record.jobs, time.monotonic())
            case LogEvent.JOB_FINISHED:
                self.estimated += self.left.pop(record.job_id, 0.0)
                self.measured += (time.monotonic() - self.started.pop(record.job_id, time.monotonic())) / 60
            case LogEvent.PROGRESS if self.left:
                print(f"about {max(1, round(self.minutes()))} min left", file=sys.stderr)

    def minutes(self) -> float:
        """The minutes left; at least those of the longest job, which has one core, however many there are."""
        scale = (1 + self.measured) / (1 + self.estimated)  # the estimate dominates until minutes of work are done
        running = {job: (time.monotonic() - start) / 60 for job, start in self.started.items()}
        left = [max(0.0, minutes * scale - running.get(job, 0.0)) for job, minutes in self.left.items()]
        return max([sum(left) / self.cores, *left], default=0.0)


def show_time_left() -> None:
    logger.addHandler(
        TimeLeft(
            {job.jobid: minutes_of(job) for job in workflow.dag.needrun_jobs()},
            STUDY.settings.cost.gpus if STUDY.gpu else workflow.cores or workflow.nodes,
        )
    )
