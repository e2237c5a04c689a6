"""Every symbol of one small source in JavaScript and TypeScript: name, kind, first line, last line, parent."""

from __future__ import annotations

import pytest

from .parsing import Definitions, definitions_of

JAVASCRIPT = """\
export default class App extends Base {
  #secret = () => 1;
  constructor() { super(); }
  static async run(a) {
    function nested() {}
  }
  get value() { return 1; }
  [Symbol.iterator]() {} [a + b]() {}
}
function* gen() {}
const arrow = async (x) => { return x };
const LIMIT = 3, other = 4;
exports.helper = function (a, b) {}; module.exports = class Agent {}; all[0] = function first() {};
Foo.prototype.bar = function () {};
const obj = { method() {}, key: () => 1, 'quoted': function() {} };
describe('x', () => { const inner = () => 1; });
const Comp = () => <div onClick={function named() {}}>{list.map(() => { function deep() {} })}</div>;
const bound = function own() {}.bind(this), bracketed = (function again() {}), called = (function () {})();
app.A.prototype.one = A.prototype.two = function () {};
const Button = forwardRef(function Button() {}); register(class Late {});
"""
JAVASCRIPT_SYMBOLS: Definitions = [
    ("App", "class", 1, 9, None),
    ("#secret", "method", 2, 2, "App"),
    ("constructor", "method", 3, 3, "App"),
    ("run", "method", 4, 6, "App"),
    ("nested", "function", 5, 5, "App.run"),
    ("value", "method", 7, 7, "App"),
    ("[Symbol.iterator]", "method", 8, 8, "App"),
    ("gen", "function", 10, 10, None),
    ("arrow", "function", 11, 11, None),
    ("LIMIT", "constant", 12, 12, None),
    ("helper", "function", 13, 13, None),
    ("Agent", "class", 13, 13, None),
    ("first", "function", 13, 13, None),
    ("bar", "method", 14, 14, "Foo"),
    ("method", "method", 15, 15, None),
    ("key", "method", 15, 15, None),
    ("quoted", "method", 15, 15, None),
    ("inner", "function", 16, 16, None),
    ("Comp", "function", 17, 17, None),
    ("named", "function", 17, 17, "Comp"),
    ("deep", "function", 17, 17, "Comp"),
    ("bound", "function", 18, 18, None),
    ("bracketed", "function", 18, 18, None),
    ("one", "method", 19, 19, "A"),
    ("two", "method", 19, 19, "A"),
    ("Button", "function", 20, 20, None),
    ("Late", "class", 20, 20, None),
]

TYPESCRIPT = """\
export interface Shape<T> {
  area(): number;
  name: string;
}
export type Id = string | number;
export enum Color { Red, Green }
declare module 'ext' { function ambient(a: string): void; }
namespace A.B { export const LIMIT = 1; export function inside() {} }
@Component({})
export abstract class Base<T> {
  private handler = async (e: Event) => {};
  abstract draw(): void;
  @Input() method<T>(a: T): T { return a }
}
function overload(a: string): void;
function overload(a: any) {}
"""
TYPESCRIPT_SYMBOLS: Definitions = [
    ("Shape", "interface", 1, 4, None),
    ("area", "method", 2, 2, "Shape"),
    ("Id", "type", 5, 5, None),
    ("Color", "enum", 6, 6, None),
    ("ext", "namespace", 7, 7, None),
    ("ambient", "function", 7, 7, "ext"),
    ("B", "namespace", 8, 8, "A"),
    ("LIMIT", "constant", 8, 8, "A.B"),
    ("inside", "function", 8, 8, "A.B"),
    ("Base", "class", 10, 14, None),
    ("handler", "method", 11, 11, "Base"),
    ("draw", "method", 12, 12, "Base"),
    ("method", "method", 13, 13, "Base"),
    ("overload", "function", 15, 15, None),
    ("overload", "function", 16, 16, None),
]

TSX = """\
export const Button = ({ label }: Props) => (
  <button onClick={() => { function inside() {} }}>{label}</button>
);
export function Panel(): JSX.Element { return <div/>; }
"""
TSX_SYMBOLS: Definitions = [
    ("Button", "function", 1, 3, None),
    ("inside", "function", 2, 2, "Button"),
    ("Panel", "function", 4, 4, None),
]


@pytest.mark.parametrize(
    ("language", "source", "expected"),
    [
        ("javascript", JAVASCRIPT, JAVASCRIPT_SYMBOLS),
        ("typescript", TYPESCRIPT, TYPESCRIPT_SYMBOLS),
        ("tsx", TSX, TSX_SYMBOLS),
    ],
)
def test_every_definition_is_found_with_its_kind_lines_and_parent(
    language: str, source: str, expected: Definitions
) -> None:
    assert definitions_of(language, source) == expected
