"""Python is read by its lines where that gives the rows of its tree, and by its tree where it is not sure."""

from __future__ import annotations

import email
from pathlib import Path

import pytest
from scanner_agreement import compare

from indexing import frames, parser
from indexing.extract import Extractor
from indexing.found import MAX_IMPORTS, Import, Symbol
from indexing.languages.python import GRAMMATICAL
from indexing.languages.python_scanner import scan
from indexing.written import Written

Rows = tuple[list[Symbol], list[Import]]

#: Each is read by its lines.
KNOWN = {
    "changed, no constant": "CASES = []\nCASES += list(\n  map(str, (1,))); COUNT += 1\nNAME.add(1); A: int\n",
    "nothing": "",
    "no line end": "def f(): pass",
    "a body's comments": (
        "def f():  # a\n    # b\n    '''doc'''\n    x = 1  # t\n    # in f\n  # out\n    # out\ny = 2\n"
    ),
    "comments of an inner block": "def f():\n    if y:\n        x = 1\n        # c\n    # d\n# e\nz\n",
    "a comment at the very end": "def f():\n    x = 1\n    # c",
    "spaces behind a comment": "def f():\n    return 1  # c  \n\ndef g(): pass  # d \n",
    "one-liners": "def f(): return 1;\nclass A: pass ; # c\nclass B(A): x = 1; y = 2\n",
    "semicolons": "import os; import sys as s, re\nX = 1; Y = 2 ;\nif x: import y ; Z = 3\n",
    "compound one-liners": "try: import json\nexcept ImportError: json = None\nelse: FOUND = True\n",
    "strings that look like code": (
        'X = """\ndef f(): pass\n"""\ny = "\\\nclass A:"\nz = \'# no comment\'\ndef g(): pass\n'
    ),
    "brackets over lines": "f(\ndef_, [\n1, # def g(): pass\n], {\n})\nclass A(\n  B, # c\n): pass\n",
    "doc of every kind": (
        "class A:\n    r'''Raw.'''\nclass B:\n    'Short.' ; x = 1\nclass C:\n    ('''No.''')\n"
        "class D:\n    'No.' 'No.'\nclass E:\n    'No.' % x\n"
        "class F:\n\n    # c\n    ''' '''\nclass G:\n    'Yes.', 1\n"
    ),
    "a comment in front": (
        "# Why.\n#  And how.\ndef f(): pass\n\n# Far.\n\ndef g(): pass\nx = 1  # Of x.\n# And f?\ndef h(): pass\n"
    ),
    "a comment behind a comment": "# Of a.\na = 1  # Of a, too.\nclass A: pass\n",
    "a comment in front of decorators": "# Why.\n@a  # b\n@c(\n  d)\n# Not me.\ndef f(): pass\n",
    "a comment behind decorators": "@a\n# Why.\nclass B:\n    @b  # c\n    def f(self): pass\n",
    "a comment of a constant": "# Why.\nX: int = 3  # c\n# Next.\nY = [\n  1,\n]  # d\n",
    "one comment for one name": "# Why.\nX = 1; Y = 2\n",
    "constants": "A, B = 1, 2\nC: int\nD += 1\nE == 1\nF = G = 1\nclass A:\n    H = 1\ndef f():\n    I = 1\n",
    "comprehensions": (
        "A = [x for x in y]\nB = {x: 'for' for x in y}\nC = [format(x)]\nD = ['for']\nE = [x for x in y] + z\n"
    ),
    "lambdas": "f = lambda x: 1\nclass A:\n    g: T = lambda: 2\ndef h():\n    i = lambda x=1, *y: x\n",
    "nested": (
        "class A:\n    class B:\n        async def f(self):\n"
        "            def g(): pass\n        x = 1\n    def h(self): pass\n"
    ),
    "a private class's public method": "class _A:\n    def f(self): pass\n    def __g__(self): pass\n",
    "definitions in statements": (
        "if x:\n    def f(): pass\nelse:\n        class A: pass\nwith y:\n\tdef g():\n\t\tpass\n"
    ),
    "tabs": "class A:\n\tdef f(self):\n\t\treturn 1\n\n\tdef g(self): pass\n",
    "imports": (
        "from .. import a, B\nfrom ..c.d import (e as f, # g, h\n"
        "  i,)\nfrom j import *\nfrom __future__ import annotations\n"
        "from k \\\n  import l\nfrom .import m\nimport n.o as p\nfrom q import r, \\\n  s\ndef f():\n    import t\n"
    ),
    "imports and what is around them": (
        "import os  # c\n# d\nfrom a import b # e\n\n\nclass A:\n    # f\n    import c\n    def f(self): pass\n"
        "import a.b, ä, c as d ,\tlower\nfrom ä.b import (ö,\n# x\nüb as c)\nif x: from . import d\nimport e\n"
    ),
    "too many imports": "".join(f"import a{n}\n" for n in range(MAX_IMPORTS + 1)),
    "letters": "def größe(ä='ü'): return 'ö'  # ß\nÄ = 1\nclass Été:\n    '''Où.'''\n",
    "line ends of Windows": "class A:\r\n    '''Doc.'''\r\n    def f(self):\r\n        return 1\r\n\r\n    X = 1\r\n",
    "soft keywords": (
        "match = 1\nmatch(x)\ncase = type(y)\nmatch x:\n    case 1:\n        def f(): pass\ntype = 3\ntype(x).y = 3\n"
    ),
    "Python 2": "print 'x' % y\nprint >>f, x\nexec code in d\ndef f((a, b)): pass\n",
    "a walrus": "while x := f():\n    pass\nif (y := 1): Z = 2\n",
    "a form feed": "import a\n\f\ndef f(): pass\n\f\n# c\nclass A: pass\n",
    "types of parameters": (
        "def f[T: (int, str)](x: T, *, y: 'T' = {'a': 1}) -> dict[str, T]:\n    pass\nclass A[T]: pass\n"
    ),
    "brackets within brackets": "x = " + "[" * 20 + "#)\n']'" + "]" * 20 + ".y[1]; Z = 1\ndef f(): pass\n",
    "small brackets within many": "x = [[[[[[[(1), {2: [3, (4)]}, '(']]]]]]], (\n# )\n)\ndef f(): pass\n",
    "decorators of many brackets": (
        "@a(" + "[" * 20 + "]" * 20 + ")\n# c\ndef f(): pass\nclass A:\n    @b\n\n    @c(d)  # e\n    def g(self):\n"
        "        pass\n    @ h\n    class I: pass\n"
    ),
    "a constant of many brackets": "X = " + "(" * 20 + ")" * 20 + "  # c\n",
    "type aliases": (
        "type A = int\n# Why.\ntype B[T: (int, str), *U] = dict[\n  T, 'a']  # c\ntype = 1\n"
        "def f():\n    type C = lambda: 1\n"
    ),
    "what looks like a chain": (
        "x = 'a=B=1'  # c = D = 2\ny = '''\ne = F = 3\ng = \\\n lambda'''\nf(\"=?q?=C3=A9?=\")\n"
    ),
    "one-liners of two lines": (
        "def f(): return x or \\\n  y\ndef g(): '''a\n  b'''; z\nclass A: x = (1,\n2); y = 3\n"
    ),
    "a body that ends with comments": (
        "class A:\n    def f(self):\n        x = 1  # c  \n\n        # d\n    # e\n    def g(self):\n        x\n# f\n"
    ),
    "statements behind a colon": "class A:\n    if x: y: T = 5\n    else: Z = 1; import a\n    for b in c: d = 1; e\n",
    "a comment in front of what is first in a class": (
        "class A:  # a\n    # b\n    def f(self): pass\nclass B:\n\n    # c\n    @d\n    def g(self):\n        pass\n"
    ),
    "what COPY reads otherwise": (
        "def f(a='\\t\\d', b=\"\t\"):\n    r'''Says \\d,\n\tand\tmore.'''\nX = '\\n'  # c\n# \\.\nclass A: pass\n"
        "import a as \\\n  b\n"
    ),
    "spaces of other kinds": (
        "def f(a='\x1c', b='\u2003 \xa0',\fc=''):\n    '\x1d \x85'\nX = '\x1f\x0b'\n#\x1c\n# \xa0.\ndef g(): pass\n"
    ),
    "chains": (
        "# Why.\na = B = C = 1\nclass A:\n    # c\n    x.y = z = D = E = [1,\n2]  # t\n    ä = ß.X = Ü = K = 2\n"
        "def f():\n  a = B = 1\na = B == 1\na = B = C == 1\nA=b=1\nc=D=2"
    ),
    "lambdas in chains": (
        "# c\na = b.c = d = lambda: 1 # e\n"
        "class A:\n    def f(self):\n        a=b=lambda *a: None\n    a = b = lambda: 1\n"
    ),
    "lambdas that are no functions": (
        "x = f(a[1], key=lambda x: 1)\nz = [y for\n x in y], f(a[1], key=lambda x: 1)\nself.a = \\\n  lambda: 1\n"
    ),
    "parameters of lambdas": (
        "f = lambda x=lambda: 1: x\nclass A:\n    f = lambda a=(1, # c\n 2), *b, c='#:', **d: \\\n   3\n"
        "g = lambda x = lambda y = lambda z=1 : z : y() : x()\nh = lambda a=b'', c=d[1:2]!=3:{1:lambda: 2}\n"
    ),
    "expressions in documentation that is one": "def f():\n  f'''x{y}'''\nclass A:\n  F\"{b!r:>{c}}\"\n",
    "comprehensions of many brackets": "X = [[[[[[a for b in c]]]]]]\nY = [[[[[[(1)]]]], '#]', x] for # ]\n z in y]\n",
    "a comment as long as a type": f"if x:\n  y\nelse:  # {'c' * 100}\n  def f(): pass\n",
    "stubs": (
        "class A:\n    # c\n    def f(self): ...\n    # d\n    @e\n    def g(self) -> int: ...\n\n# h\n"
        "def i(): ...\n    # j\nx\ndef k(): ...  # l\nclass M: ...\n# n\nX = 1  # o\ndef p(): ...\n"
    ),
    "documentation that begins far below": "def f():\n    '''" + "\n" * 600 + "Says. " * 300 + "'''\n",
    "documentation of many lines": "class A:\n    '''" + "Says.\n      So. \n\n" * 90 + "'''\n",
    "documentation that ends in time": "def f():\n    '''" + "ä" * 499 + " \n" * 400 + "b'''\n",
    "a long comment": "# Says.\n#! So. */ \n  #\n" * 99 + "class A: pass\n",
    "a long signature": f"def f(a={'x' * 1300!r}): pass\ndef g({', '.join(f'a{n}' for n in range(400))}): pass\n",
}

#: Each needs a tree.
UNSURE = {
    "two constants, neither of them first": "a = B = c = D = 1\n",
    "a constant behind a constant and more": "A = b = C = 1\n",
    "a lambda behind a constant": "a = B = c = lambda: 1\n",
    "a lambda behind an attribute on the next line": "a = b.c = \\\n  lambda: 1\n",
    "a chain on the next line": "a = \\\n  b = C = 1\n",
    "a chain that goes on": "a = B = \\\n  1\n",
    "a chain behind a semicolon": "x; a = B = 1\n",
    "a lambda that ends nowhere": "f = lambda x: \\\n# c\n",
    "expressions in documentation": "def f():\n    f'{x['a']}'\n",
    "half of an expression in documentation": "def f():\n    f'{x['; y\n",
    "a bracket that is never closed": "x = (\ndef f(): pass\n",
    "brackets within brackets that are never closed": "x = " + "(" * 20 + ")" * 19 + "\n",
    "a string that is never closed": "def f(): pass\nx = '''\n",
    "what no Python has": "def f(): pass\nx = a ? b : c\n",
    "a merge that was not finished": "<<<<<<< HEAD\ndef f(): pass\n=======\n>>>>>>> x\n",
    "no body": "def f():\nx = 1\n",
    "an indentation that fits nothing": "def f():\n        x = 1\n    def g(): pass\n",
    "tabs and spaces": "def f():\n    if x:\n\tdef g(): pass\n",
    "a decorator of nothing": "@a\n",
    "an empty decorator": "@\ndef f(): pass\n",
    "an import of nothing that can be imported": "import a(b)\n",
    "a decorator of something else": "@a\nx = 1\n",
    "a continued line that is the last": "x = \\\n",
    "a continued body that is the last": "def f(): x; \\\n",
    "a type that is none": "type in [x]\n",
    "a chain behind a string": "x['a'] = B = 1\n",
    "old line ends": "def f(): pass\rdef g(): pass\r",
    "a continued constant": "X = 1 \\\n\n",
    "a lambda on the next line": "f = \\\n  lambda: 1\n",
    "a lambda behind an annotation of several lines": "f: Callable[\n  [int], int\n] = lambda x: x\n",
    "NUL": "def f(): pass\n\x00",
    "too many symbols": "def f(): pass\n" * 51,
}


@pytest.fixture(scope="module")
def extractor() -> Extractor:
    return Extractor(GRAMMATICAL)


@pytest.mark.parametrize("source", KNOWN.values(), ids=KNOWN)
def test_reading_by_lines_gives_the_rows_of_the_tree(source: str, extractor: Extractor) -> None:
    encoded = source.encode()
    assert scan(encoded, 50) == extractor.extract_by_tree(encoded, seconds=10, max_symbols=50)


@pytest.mark.parametrize("source", KNOWN.values(), ids=KNOWN)
def test_what_is_written_while_it_is_read_is_what_its_rows_say(source: str) -> None:
    parsed = parser.parse("python", source.encode(), seconds=10, max_symbols=50)
    as_rows = parsed._replace(symbols=list(parsed.symbols), imports=list(parsed.imports))
    assert isinstance(parsed.symbols, Written)
    assert frames.encode_parsed(parsed) == frames.encode_parsed(as_rows)


@pytest.mark.parametrize("source", UNSURE.values(), ids=UNSURE)
def test_what_the_lines_do_not_tell_for_sure_needs_a_tree(source: str) -> None:
    assert scan(source.encode(), 50) is None


def test_what_needs_a_tree_gets_one(extractor: Extractor) -> None:
    symbols, _ = extractor.extract(b"x; a = B = 1\n", seconds=10, max_symbols=50)
    assert [symbol.name for symbol in symbols] == ["B"]


def test_a_package_of_pythons_own_library_and_this_project_give_the_rows_of_their_trees() -> None:
    library, ours = Path(email.__file__).parent, Path(__file__).parent.parent.parent / "indexing"
    found = compare([*library.glob("*.py"), *ours.rglob("*.py")])
    assert found.differing == []
    assert found.files > 50
    assert found.with_tree <= found.files * 0.1
