"""A page that is wrong is found out: each kind of block, and each way in which it can fail."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sql_access import Sql

from .blocks import blocks_of
from .running import Runner

Follow = Callable[[str], None]


@pytest.fixture
def follow(database: str, tmp_path: Path) -> Iterator[Follow]:
    """Does what a page with this text says."""
    directory, logs = tmp_path / "work", tmp_path / "logs"
    directory.mkdir()
    logs.mkdir()
    environ = {"PATH": os.environ["PATH"], "PYTHON": sys.executable}
    runner = Runner(directory, database, environ, {"DOCUMENTED": "stood in"}, logs)
    page = tmp_path / "page.md"

    def run(text: str) -> None:
        page.write_text(text)
        for block in blocks_of(page):
            runner.run(block)

    yield run
    runner.end()


def test_what_one_block_leaves_the_next_one_finds(follow: Follow, sql: Sql, tmp_path: Path) -> None:
    follow(
        "Words.\n\n```sh\nexport WHO='DOCUMENTED'\nmkdir below && cd below\n```\n\n"
        "<!-- test: file made.txt -->\n```text\nof DOCUMENTED\n```\n"
        '```sh\ntest "$WHO" = "stood in" && test "$(cat made.txt)" = "of stood in"\n```\n'
        "```python\nimport os\nwho = os.environ['WHO']\n```\n```python\nassert who == 'stood in'\n```\n"
        "```sql\nCREATE TABLE of_the_page (id int);\n```\n"
        "<!-- test: background until ready -->\n```sh\necho ready; sleep 60\n```\n"
    )
    assert sql("SELECT count(*) FROM of_the_page") == [(0,)]
    assert (tmp_path / "work" / "below" / "made.txt").is_file()


@pytest.mark.parametrize(
    "text",
    [
        "```sh\nfalse\ntrue\n```\n",
        "```sh\nfalse | true\n```\n",
        '```sh\necho "$UNSET"\n```\n',
        "```python\n1 / 0\n```\n",
        "```python\nraise SystemExit\n```\n",
        "```sql\nSELECT nothing;\n```\n",
        "<!-- test: background until ready -->\n```sh\nexit 3\n```\n",
        "<!-- test: not run, it is too hard -->\n```sh\nif true\n```\n",
        "<!-- test: not run, it is too hard -->\n```yaml\na: [\n```\n",
        "<!-- test: not run, it is too hard -->\n```toml\na = \n```\n",
        "<!-- test: not run, it is too hard -->\n```ini\nno section\n```\n",
        "<!-- test: file a.py -->\n```python\ndef\n```\n",
        "<!-- test: not run, why -->\n```sh\ntrue\n```\n",
    ],
)
def test_a_block_that_does_not_do_what_it_says_fails_its_page(follow: Follow, text: str) -> None:
    with pytest.raises(AssertionError, match=r"page\.md:\d"):
        follow(text)


@pytest.mark.parametrize("text", ["```\ntrue\n```\n", "```ruby\n1\n```\n", "<!-- test: skip -->\n```sh\ntrue\n```\n"])
def test_a_block_of_which_nobody_knows_what_to_do_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "page.md").write_text(text)
    with pytest.raises(ValueError, match="expected"):
        list(blocks_of(tmp_path / "page.md"))
