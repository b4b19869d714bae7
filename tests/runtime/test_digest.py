from pathlib import Path

import pytest

import multires
from multires.runtime.digest import code_digest, folder_digest


@pytest.fixture
def package(tmp_path):
    (tmp_path / "room").mkdir()
    (tmp_path / "__init__.py").touch()
    (tmp_path / "room" / "module.py").write_text("value = 1\n")
    (tmp_path / "room" / "table.csv").write_text("1\n")
    return tmp_path


def test_the_digest_is_that_of_the_whole_package():
    assert code_digest() == folder_digest(Path(multires.__file__).parent)


def test_the_digest_follows_the_content_and_place_of_every_module(package):
    module = package / "room" / "module.py"
    seen = [folder_digest(package)]
    module.write_text("value = 2\n")
    seen.append(folder_digest(package))
    module.rename(package / "module.py")
    seen.append(folder_digest(package))
    (package / "room" / "empty.py").touch()
    seen.append(folder_digest(package))
    assert len(set(seen)) == 4


def test_the_digest_is_that_of_code_alone(package):
    before = folder_digest(package)
    (package / "room" / "table.csv").write_text("2\n")
    (package / "room" / "__pycache__").mkdir()
    (package / "room" / "__pycache__" / "module.pyc").write_bytes(b"compiled")
    assert folder_digest(package) == before
