"""Two people edit the steps of one route at once: a config stays with its step."""

import threading
from collections.abc import Callable
from typing import Any

from django.db import connection

from mes.routing import services, step_edits
from mes.routing.models import RouteExecutionConfig, RoutingStep
from mes.routing.step_edits import StepEdit
from tests.factories import make_config, make_route


def edit_at_once(slow: Callable[..., None]) -> tuple[int, int | None]:
    """One moves a step away while another, who read them before, exchanges two; return the numbers of the step with a
    config, and of that config.
    """
    routing = make_route(steps=[(10, "PRINT"), (20, "REFLOW")])
    config = make_config(routing, step_no=10, retest_limit=3)
    first, second = routing.steps.order_by("step_no")
    slow(step_edits, "find_step_problems", after=0.3)  # between reading the steps and reading their configs
    jobs = [
        [StepEdit(first.pk, 30, "PRINT"), StepEdit(second.pk, 20, "REFLOW")],
        [StepEdit(first.pk, 20, "PRINT"), StepEdit(second.pk, 10, "REFLOW")],
    ]

    def work(steps: list[StepEdit]) -> None:
        try:
            services.edit_steps(code=routing.code, steps=steps)
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=[steps]) for steps in jobs]
    threads[1].start()
    threads[1].join(0.15)
    threads[0].start()
    for thread in threads:
        thread.join()
    return RoutingStep.objects.get(pk=first.pk).step_no, RouteExecutionConfig.objects.get(pk=config.pk).step_no


def test_a_config_stays_with_its_step(transactional_db: None, slow: Any) -> None:
    step, config = edit_at_once(slow)
    assert step == config == 30


def test_without_the_lock_they_part(transactional_db: None, slow: Any, without_locks: None) -> None:
    step, config = edit_at_once(slow)
    assert step != config
