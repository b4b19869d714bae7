"""Every chapter has the same anatomy, and its worked example runs on arrays alone."""

import ast
import re
from pathlib import Path

import nbformat
import pytest

NOTEBOOKS = sorted((Path(__file__).resolve().parents[1] / "notebooks").glob("[0-9]*.ipynb"))
chapters = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def cells(path: Path) -> list:
    return nbformat.read(path, 4).cells


@chapters
def test_it_opens_with_a_question_and_what_a_reader_needs(path):
    title, *paragraphs = cells(path)[0].source.split("\n\n")
    assert title.startswith("# ")
    assert re.match(r"\*\*[^*]+\?\*\*", paragraphs[0])
    assert any(paragraph.startswith("Prerequisites: ") for paragraph in paragraphs)


@chapters
def test_the_worked_example_is_visible_short_and_runs(path):
    found = cells(path)
    (place,) = (index for index, cell in enumerate(found) if re.match(r"## .*: try it\n", cell.source))
    example = found[place + 1]
    assert not example.metadata.get("tags")
    assert len(example.source.splitlines()) <= 15
    tree = ast.parse(example.source)
    last = tree.body.pop()
    assert isinstance(last, ast.Expr)
    names: dict = {}
    exec(compile(tree, path.name, "exec"), names)
    assert eval(compile(ast.Expression(last.value), path.name, "eval"), names) is not None


@chapters
def test_it_ends_with_two_exercises_and_its_data(path):
    text = "\n\n".join(cell.source for cell in cells(path) if cell.cell_type == "markdown")
    exercises = text.partition("## Exercises\n")[2].partition("\n## ")[0]
    assert len(re.findall(r"^\d\. ", exercises, re.MULTILINE)) == 2
    assert exercises.count("<details><summary>What to expect</summary>") == exercises.count("</details>") == 2
    named = set(re.findall(r"`(\w+) = ", exercises))
    (parameters,) = (cell.source for cell in cells(path) if "parameters" in cell.metadata.get("tags", []))
    assert named <= set(re.findall(r"^(\w+):", parameters, re.MULTILINE))
    assert f"<data/{path.stem}.zip>" in text
    assert any(f'shown.publish(run, "{path.stem}"' in cell.source for cell in cells(path))


@chapters
def test_no_raw_table_is_shown(path):
    code = "\n".join(cell.source for cell in cells(path) if cell.cell_type == "code")
    assert not re.search(r"\.(head|sample)\(|\.style\.(hide|format)", code)
