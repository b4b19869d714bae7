"""Bars count the steps of a run and move while a step counts nothing."""

import io
import re
import time

from multires.runtime.progress import begin_steps, step_bar


def test_a_silent_step_keeps_moving_and_ends_with_its_bar():
    shown = io.StringIO()
    with step_bar("extract", 10, "s", shown=True, interval=0.02, file=shown, mininterval=0) as bar:
        before = len(shown.getvalue())
        deadline = time.monotonic() + 60
        while shown.getvalue().count("\r") < 6:  # by refreshes alone
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert len(shown.getvalue()) > before
        bar.update(10)
    ended = shown.getvalue()
    time.sleep(0.1)
    assert shown.getvalue() == ended
    assert "10/10" in ended


def test_steps_are_counted_across_stages_and_from_one_for_each_run():
    for _ in range(2):
        begin_steps()
        shown = io.StringIO()
        for title in ("reading", "probes"):
            with step_bar(title, 1, "layer", shown=True, file=shown) as bar:
                bar.update()
            with step_bar(title, 1, "layer", shown=False, file=shown) as bar:
                bar.update()
        assert list(dict.fromkeys(re.findall(r"step \d+, \w+", shown.getvalue()))) == [
            "step 1, reading",
            "step 2, probes",
        ]


def test_an_error_ends_the_bar():
    shown = io.StringIO()
    try:
        with step_bar("probes", 1, "layer", shown=True, interval=0.01, file=shown):
            raise ValueError
    except ValueError:
        ended = shown.getvalue()
    time.sleep(0.1)
    assert shown.getvalue() == ended
