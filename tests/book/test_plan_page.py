"""The page on the plan is that of the plan's constants."""

from dataclasses import replace

from multires.book import plan_page
from multires.book.notebooks import checkout
from multires.experiment.plan import PLAN


def test_the_page_in_the_book_is_written_from_the_plan():
    assert (checkout() / plan_page.PAGE).read_text(encoding="utf-8") == plan_page.page()


def test_the_page_follows_the_constants():
    text = plan_page.page(replace(PLAN, interest=replace(PLAN.interest, share=0.37), grid=80))
    assert "37 % of hubert's lead over MFCC" in text
    assert "one grid of 80 ms" in text
    for each in PLAN.outcomes:
        assert each.definition in text
    for revision in PLAN.revisions:
        assert revision.change in text
