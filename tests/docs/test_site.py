"""The pages become a site without a warning, and the site loads nothing from anywhere else."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from processes import ROOT

#: What a browser fetches by itself: not links, which people follow.
LOADED = re.compile(
    r'<(?:script|img|iframe)[^>]* src="(?:https?:)?//|<link[^>]* rel="?(?:stylesheet|preload|icon|preconnect)'
    r'"?[^>]* href="(?:https?:)?//'
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(directory)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    # with --quiet it would not count what it does not say
    said = built.stdout + built.stderr
    assert built.returncode == 0, f"a page is not in the nav of mkdocs.yml, or a link leads nowhere:\n{said}"
    return directory


def test_each_page_is_in_it(site: Path) -> None:
    pages = {path.relative_to(ROOT / "docs").with_suffix(".html") for path in (ROOT / "docs").rglob("*.md")}
    assert len(pages) > 15
    assert {each for each in pages if not (site / each).is_file()} == set()


def test_it_loads_nothing_from_elsewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        assert LOADED.findall(page.read_text("utf-8")) == [], page
