from __future__ import annotations

import pytest

from indexing import location
from indexing.errors import RepositoryRefused


@pytest.mark.parametrize(
    ("url", "kind", "canonical", "name"),
    [
        ("/srv/repos/app.git/", "local", "/srv/repos/app.git", "app"),
        ("/srv/./repos/../app", "local", "/srv/app", "app"),
        ("file:///srv/with%20space/app", "local", "/srv/with space/app", "app"),
        ("file://localhost/srv/app", "local", "/srv/app", "app"),
        ("https://example.com/team/app.git/", "remote", "https://example.com/team/app.git", "app"),
        ("ssh://git@example.com:2222/team/app", "remote", "ssh://git@example.com:2222/team/app", "app"),
        ("git@example.com:team/app.git", "remote", "git@example.com:team/app.git", "app"),
        ("/a:b/git@c:d", "local", "/a:b/git@c:d", "d"),
    ],
)
def test_a_place_has_one_spelling_and_a_name(url: str, kind: str, canonical: str, name: str) -> None:
    place = location.parse(url)
    assert (place.kind, place.url, place.name) == (kind, canonical, name)


@pytest.mark.parametrize(
    "url",
    [
        "",
        " ",
        "relative/path",
        "./here",
        "--upload-pack=touch x",
        "http://example.com/app",
        "git://example.com/app",
        "ext::sh -c touch% x",
        "fd::17/foo",
        "file://other.example.com/srv/app",
        "ssh://-oProxyCommand=touch/app",
        "ssh://-x@example.com/app",
        "https:///app",
        "https://example.com:port/app",
        "-oProxyCommand=x@example.com:app",
        "https://example.com/a\nb",
        "/srv/nul\x00byte",
    ],
)
def test_a_url_that_is_not_read_here_is_refused(url: str) -> None:
    with pytest.raises(RepositoryRefused):
        location.parse(url)


@pytest.mark.parametrize(
    "url",
    [
        "https://user:s3cret@example.com/app",
        "https://s3cret@example.com/app",
        "ssh://git:s3cret@example.com/app",
        "ssh://git:s3cret@example.com:port/app",
        "http://user:s3cret@example.com/app",
        "https://user:s3cret@example.com/a\nb",
    ],
)
def test_a_secret_in_a_url_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(RepositoryRefused) as refused:
        location.parse(url)
    assert "s3cret" not in str(refused.value)


def test_masking_hides_user_names_and_passwords_in_any_text() -> None:
    text = "fatal: unable to access 'https://user:s3cret@example.com/app/': and ssh://git:s3cret@host/x"
    assert location.mask(text) == "fatal: unable to access 'https://***@example.com/app/': and ssh://***@host/x"
