"""What pyproject.toml cannot say of a wheel: the published results of experiments/ lie within the package, and the
README's links and pictures lead into the repository, as a package index shows the README without the rest."""

import re
import shutil
from pathlib import Path

from setuptools import Distribution, setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).parent
PICTURES = (".png", ".svg", ".jpg", ".gif", ".webp")
# Code is left as it is; so are links to a heading of the same page, and to other sites.
CODE = re.compile(r"(^```.*?^```$)", re.DOTALL | re.MULTILINE)
TARGET = re.compile(r"(?<=\]\()(?![a-z]+:|#)([^)\s]+)")


class BuildWithExperiments(build_py):
    """Copies experiments/ to stopcli/experiments/, where stopcli looks first; a checkout has it at its top."""

    def run(self):
        if self.editable_mode:
            super().run()
            return
        # `pip install .` builds in the checkout, where an earlier version may have left modules that are no more.
        package = Path(self.build_lib) / "stopcli"
        shutil.rmtree(package, ignore_errors=True)
        super().run()
        shutil.copytree(HERE / "experiments", package / "experiments")


def absolute_links(page: str, repository: str, tag: str) -> str:
    """A page of the repository, in Markdown, with links and pictures that lead to what was there under a tag."""

    def absolute(match: re.Match[str]) -> str:
        # A code host shows a page about a picture; the picture itself is what `raw` has.
        view = "raw" if match[1].endswith(PICTURES) else "blob"
        return f"{repository}/{view}/{tag}/{match[1]}"

    parts = CODE.split(page)
    parts[::2] = [TARGET.sub(absolute, text) for text in parts[::2]]
    return "".join(parts)


class DistributionWithAbsoluteLinks(Distribution):
    """Changes the README after it was read from pyproject.toml, which has the version and the repository's address."""

    def parse_config_files(self, *args, **options):
        super().parse_config_files(*args, **options)
        metadata = self.metadata
        repository = metadata.project_urls["Repository"]
        metadata.long_description = absolute_links(metadata.long_description, repository, f"v{metadata.version}")


setup(cmdclass={"build_py": BuildWithExperiments}, distclass=DistributionWithAbsoluteLinks)
