"""Links of the pages that are not part of the site: README and the like. mkdocs checks those of docs/."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from processes import ROOT

_LINK = re.compile(r"\]\((?!https?://|mailto:)([^)#\s]*)(#[^)\s]*)?\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """What the headings of a page are called in links."""
    return {
        "#" + re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", heading).strip().lower())
        for heading in _HEADING.findall(page.read_text("utf-8"))
    }


@pytest.mark.parametrize("page", sorted(ROOT.glob("*.md")), ids=lambda page: page.name)
def test_each_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    for place, anchor in _LINK.findall(page.read_text("utf-8")):
        target = page.parent / place if place else page
        assert target.exists(), f"{page.name}: {place}"
        assert not anchor or anchor in anchors(target), f"{page.name}: {place}{anchor}"
