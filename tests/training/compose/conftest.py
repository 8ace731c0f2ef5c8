import pytest
from material import build
from streamavis_training.data.compose.library import Library


@pytest.fixture(scope="session")
def material_folder(tmp_path_factory):
    return build(tmp_path_factory.mktemp("material") / "data")


@pytest.fixture(scope="session")
def library(material_folder, tmp_path_factory):
    return Library.read([material_folder], "train", cache=tmp_path_factory.mktemp("cache"))
