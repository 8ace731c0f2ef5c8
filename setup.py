"""Keeps `benchmarks/` out of wheels; everything else is declared in pyproject.toml.

An editable installation of a clone (`pip install -e .`) has it, as any other package.
"""

from setuptools import setup
from setuptools.command.build_py import build_py

CLONE_ONLY = "streamavis_benchmarks"


class WheelPackages(build_py):
    """Copies the packages that users run into the wheel."""

    def finalize_options(self) -> None:
        super().finalize_options()
        if not self.editable_mode:
            self.packages = [
                name for name in self.packages or () if name.partition(".")[0] != CLONE_ONLY
            ]


setup(cmdclass={"build_py": WheelPackages})
