"""Puts the published results of experiments/ into wheels, within the package; all else is in pyproject.toml."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).parent


class BuildWithExperiments(build_py):
    """Copies experiments/ to stopcli/experiments/, where stopcli looks first; a checkout has it at its top."""

    def run(self):
        super().run()
        if not self.editable_mode:
            shutil.copytree(HERE / "experiments", Path(self.build_lib) / "stopcli" / "experiments", dirs_exist_ok=True)


setup(cmdclass={"build_py": BuildWithExperiments})
