"""What every kind of test has."""
import pathlib
import shutil
import tempfile

import pytest


@pytest.fixture(scope="session")
def directory():
    """Of the run; gone with it."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="citytotals-tests-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)
